#include "util/sha256.h"

#include <catch2/catch.hpp>
#include <string>

using vsearch::util::Sha256;
using vsearch::util::sha256_hex;

namespace {

std::string hash_of(const std::string& text) {
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace

// The vectors of FIPS 180-2, appendix B.
TEST_CASE("sha256_hex gives the standard's vectors") {
  CHECK(hash_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("hashing in pieces equals hashing at once") {
  const std::string text(1000, 'a');
  Sha256 hash;
  for (std::size_t at = 0; at < text.size(); at += 37) {
    hash.update(std::string_view(text).substr(at, 37));
  }
  hash.update(std::string_view());
  CHECK(hash.hex() == hash_of(text));
}

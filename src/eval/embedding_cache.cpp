#include "eval/embedding_cache.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <system_error>
#include <vector>

#include "vsearch/error.h"

namespace vsearch::eval {
namespace {

constexpr char kMagic[] = "vsearch embeddings 1\n";

std::uint64_t checksum(std::uint32_t picture, std::span<const float> values) {
  return XXH3_64bits_withSeed(values.data(), values.size_bytes(), picture);
}

template <typename Value>
void append(std::string& to, const Value* values, std::size_t count) {
  to.append(reinterpret_cast<const char*>(values), count * sizeof(Value));
}

}  // namespace

EmbeddingCache::EmbeddingCache(const std::filesystem::path& folder, const std::string& key,
                               Matrix& rows, std::vector<bool>& known)
    : path_(folder / (key + ".embeddings")) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::uint64_t whole = read(rows, known);
  if (whole > 0) {
    std::filesystem::resize_file(path_, whole, error);
    if (error) fail("be cut");
  }
  file_.open(path_, std::ios::binary | (whole > 0 ? std::ios::app : std::ios::trunc));
  if (whole == 0) file_.write(kMagic, sizeof kMagic - 1);
  flush();
}

// A record: the picture's number (4 bytes), its embedding, and a checksum of both (8 bytes).
std::uint64_t EmbeddingCache::read(Matrix& rows, std::vector<bool>& known) {
  std::ifstream file(path_, std::ios::binary);
  std::string magic(sizeof kMagic - 1, '\0');
  if (!file.read(magic.data(), static_cast<std::streamsize>(magic.size())) || magic != kMagic) {
    return 0;
  }
  std::uint64_t whole = magic.size();
  std::string record(sizeof(std::uint32_t) + rows.cols * sizeof(float) + sizeof(std::uint64_t),
                     '\0');
  std::vector<float> values(rows.cols);
  while (file.read(record.data(), static_cast<std::streamsize>(record.size()))) {
    std::uint32_t picture = 0;
    std::uint64_t sum = 0;
    std::memcpy(&picture, record.data(), sizeof picture);
    std::memcpy(values.data(), record.data() + sizeof picture, rows.cols * sizeof(float));
    std::memcpy(&sum, record.data() + record.size() - sizeof sum, sizeof sum);
    if (picture >= rows.rows || checksum(picture, values) != sum) break;
    std::ranges::copy(values, rows.row(picture).begin());
    known[picture] = true;
    whole += record.size();
  }
  return whole;
}

void EmbeddingCache::add(std::uint32_t picture, std::span<const float> embedding) {
  const std::uint64_t sum = checksum(picture, embedding);
  std::string record;
  append(record, &picture, 1);
  append(record, embedding.data(), embedding.size());
  append(record, &sum, 1);
  file_.write(record.data(), static_cast<std::streamsize>(record.size()));
}

void EmbeddingCache::flush() {
  if (!file_.flush()) fail("be written");
}

void EmbeddingCache::fail(const char* what) const {
  throw Error(ErrorCode::kIo, fmt::format("the embedding cache {} cannot {}; check the permissions "
                                          "and the space on the disk, or evaluate without a cache",
                                          path_.string(), what));
}

}  // namespace vsearch::eval

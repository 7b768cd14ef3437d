// Every file of an archive of broken and odd pictures (fuzzers' corpora, crash tests, PngSuite)
// gives the same pixels every time or a typed error, soon and within memory.
#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstddef>
#include <ctime>
#include <optional>
#include <string>

#include "support/skip.h"
#include "support/tar.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

namespace {

// Pixels, or what the error says; any other exception, or another kind of error, is a fault.
struct Outcome {
  std::optional<vsearch::Image> image;
  std::string message;

  bool operator==(const Outcome& other) const {
    return message == other.message && image.has_value() == other.image.has_value() &&
           (!image ||
            (image->pixels == other.image->pixels && image->width_px == other.image->width_px));
  }
};

Outcome decode(const vsearch_test::TarArchive::File& file, const vsearch::DecodeOptions& options) {
  try {
    return {vsearch::decode_image(file.bytes, file.name.c_str(), options), {}};
  } catch (const vsearch::Error& error) {
    if (error.code() != vsearch::ErrorCode::kBadImage) throw;
    return {std::nullopt, error.what()};
  }
}

double cpu_s() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

TEST_CASE("an archive of broken pictures decodes the same every time or gives typed errors") {
  const auto shared = vsearch_test::shared_dir();
  if (shared.empty()) VSEARCH_SKIP("no ../shared/data/broken-images.tar");
  const vsearch_test::TarArchive archive(shared / "data" / "broken-images.tar");
  REQUIRE(archive.files().size() == 10828);
  vsearch::DecodeOptions plain;
  vsearch::DecodeOptions lenient;
  lenient.lenient = true;
  lenient.cover_width_px = 32;
  const long before_kib = peak_kib();
  std::size_t decoded = 0;
  double slowest_s = 0;
  for (const auto& file : archive.files()) {
    CAPTURE(file.name);
    for (const vsearch::DecodeOptions& options : {plain, lenient}) {
      const double start_s = cpu_s();
      const Outcome first = decode(file, options);
      slowest_s = std::max(slowest_s, cpu_s() - start_s);
      if (!(first == decode(file, options))) FAIL("decoded twice, different results");
      if (first.image) {
        decoded += options.lenient ? 0 : 1;
      } else if (!first.message.starts_with(file.name + ": ")) {
        FAIL("a message that does not name the picture: " + first.message);
      }
    }
    // PngSuite: the names of files that are wrong begin with x, most by a checksum.
    const std::size_t slash = file.name.rfind('/');
    if (file.name.find("/pngsuite/") != std::string::npos && file.name.ends_with(".png")) {
      if (decode(file, plain).image.has_value() == (file.name[slash + 1] == 'x')) {
        FAIL("PngSuite: sound files decode, the others do not");
      }
    }
  }
  CHECK(decoded > 500);
  CHECK(slowest_s < 2);
#ifndef __SANITIZE_ADDRESS__  // which keeps what was freed
  CHECK(peak_kib() - before_kib < 512 * 1024);
#else
  static_cast<void>(before_kib);
#endif
}

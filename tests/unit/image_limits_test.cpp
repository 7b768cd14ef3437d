// Files made to exhaust the host are refused quickly and before memory is taken.
#include <sys/resource.h>
#include <zlib.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "image/jpeg_markers.h"
#include "support/errors.h"
#include "support/pictures.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

using vsearch::DecodeOptions;
using vsearch::ErrorCode;
using vsearch_test::error_message;
using vsearch_test::picture_bytes;

namespace {

using Bytes = std::vector<std::byte>;

void put(Bytes& bytes, std::string_view text) {
  for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
}
void put_big_endian(Bytes& bytes, std::uint64_t value, int size) {
  for (int i = size; i-- > 0;) bytes.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFF));
}
void put_little_endian(Bytes& bytes, std::uint64_t value, int size) {
  for (int i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFF));
}

void put_png_chunk(Bytes& bytes, const Bytes& chunk) {
  put_big_endian(bytes, chunk.size() - 4, 4);
  bytes.insert(bytes.end(), chunk.begin(), chunk.end());
  put_big_endian(bytes, crc32_z(0, reinterpret_cast<const Bytef*>(chunk.data()), chunk.size()), 4);
}

Bytes png(std::uint32_t width, std::uint32_t height) {
  Bytes bytes;
  put(bytes, "\x89PNG\r\n\x1A\n");
  Bytes header;
  put(header, "IHDR");
  put_big_endian(header, width, 4);
  put_big_endian(header, height, 4);
  put_big_endian(header, 0x0802000000, 5);  // 8 bits, RGB
  put_png_chunk(bytes, header);
  Bytes data;
  put(data, "IDAT" + std::string(100, 'U'));
  put_png_chunk(bytes, data);
  Bytes end;
  put(end, "IEND");
  put_png_chunk(bytes, end);
  return bytes;
}

// A picture of tests/data with another size in its frame header.
Bytes jpeg(const char* name, std::uint32_t width, std::uint32_t height) {
  Bytes bytes = picture_bytes(name);
  for (std::size_t i = 0; i + 9 < bytes.size(); ++i) {
    const bool frame = bytes[i] == std::byte{0xFF} &&
                       (bytes[i + 1] == std::byte{0xC0} || bytes[i + 1] == std::byte{0xC2});
    if (!frame) continue;
    Bytes size;
    put_big_endian(size, height, 2);
    put_big_endian(size, width, 2);
    std::ranges::copy(size, bytes.begin() + static_cast<std::ptrdiff_t>(i) + 5);
    return bytes;
  }
  FAIL("no frame header");
  return {};
}

// A progressive JPEG whose last scan is there again and again.
Bytes jpeg_of_scans(std::size_t scans) {
  Bytes bytes = picture_bytes("progressive.jpg");
  const std::size_t had = vsearch::image::count_scans(bytes);
  REQUIRE(had > 3);
  const Bytes start_of_scan = {std::byte{0xFF}, std::byte{0xDA}};
  const auto last = std::ranges::find_end(bytes, start_of_scan).begin();
  const Bytes end(bytes.end() - 2, bytes.end());
  const Bytes scan(last, bytes.end() - 2);
  bytes.resize(bytes.size() - 2);
  for (std::size_t i = had; i < scans; ++i) bytes.insert(bytes.end(), scan.begin(), scan.end());
  bytes.insert(bytes.end(), end.begin(), end.end());
  return bytes;
}

Bytes bmp(std::uint32_t width, std::uint32_t height) {
  Bytes bytes = picture_bytes("rgb.bmp");
  Bytes size;
  put_little_endian(size, width, 4);
  put_little_endian(size, height, 4);
  std::ranges::copy(size, bytes.begin() + 18);
  return bytes;
}

// A white pixel of 256 colours, behind the header of OS/2.
Bytes os2_bmp() {
  Bytes bytes;
  put(bytes, "BM");
  put_little_endian(bytes, 798, 4);
  put_little_endian(bytes, 0, 4);
  put_little_endian(bytes, 794, 4);      // where the pixels begin
  put_little_endian(bytes, 12, 4);       // bytes of the header
  put_little_endian(bytes, 0x10001, 4);  // 1 x 1
  put_little_endian(bytes, 0x80001, 4);  // a plane, 8 bits
  for (int i = 0; i < 256; ++i) put_little_endian(bytes, 0xFFFFFF, 3);
  put_little_endian(bytes, 255, 4);
  return bytes;
}

Bytes gif(std::uint32_t width, std::uint32_t height, std::uint32_t frame_width,
          std::uint32_t frame_height) {
  Bytes bytes;
  put(bytes, "GIF89a");
  put_little_endian(bytes, width, 2);
  put_little_endian(bytes, height, 2);
  put_little_endian(bytes, 0x000080, 3);  // a palette of two colours
  put_little_endian(bytes, 0, 6);
  put_little_endian(bytes, 0x2C, 5);  // a frame at 0, 0
  put_little_endian(bytes, frame_width, 2);
  put_little_endian(bytes, frame_height, 2);
  put_little_endian(bytes, 0x0144020200, 5);  // no palette, 2 bits, two bytes: clear, 0, end
  put_little_endian(bytes, 0x3B00, 3);
  return bytes;
}

Bytes webp(std::uint32_t width, std::uint32_t height) {
  Bytes bytes;
  put(bytes, "RIFF");
  put_little_endian(bytes, 22, 4);
  put(bytes, "WEBPVP8X");
  put_little_endian(bytes, 10, 4);
  put_little_endian(bytes, 0, 4);
  put_little_endian(bytes, width - 1, 3);
  put_little_endian(bytes, height - 1, 3);
  return bytes;
}

Bytes lossless_webp(std::uint32_t width, std::uint32_t height) {
  Bytes bytes = picture_bytes("lossless.webp");
  REQUIRE(bytes[15] == std::byte{'L'});
  Bytes size;
  put_little_endian(size, (width - 1) | (height - 1) << 14, 4);
  std::ranges::copy(size, bytes.begin() + 21);
  return bytes;
}

double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

TEST_CASE("bombs are refused at once and without memory") {
  constexpr const char* kTooLarge = " pixels are more than the limit of ";
  struct Case {
    const char* name;
    Bytes bytes;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"a.png", png(65535, 65535),
       "a.png: truncated PNG (100 bytes cannot hold 65535 x 65535 pixels)"},
      {"small.png", png(10000, 10000),
       "small.png: truncated PNG (100 bytes cannot hold 10000 x 10000 pixels)"},
      {"odd.png", png(0xFFFFFFFF, 0xFFFFFFFF), "odd.png: damaged or unsupported PNG"},
      {"data.png", picture_bytes("bomb.png"),
       "data.png: damaged or unsupported PNG (IDAT: Too much image data)"},
      {"a.jpg", jpeg("420.jpg", 65500, 65500), "a.jpg: 65500 x 65500" + std::string(kTooLarge)},
      {"larger.jpg", jpeg("420.jpg", 65535, 65535), "larger.jpg: damaged or unsupported JPEG "},
      {"small.jpg", jpeg("420.jpg", 10000, 10000), "small.jpg: truncated JPEG ("},
      {"progressive.jpg", jpeg("progressive.jpg", 10000, 10000), "progressive.jpg: truncated JPEG"},
      {"scans.jpg", jpeg_of_scans(1000), "scans.jpg: 1000 scans are more than the limit of 100"},
      {"a.bmp", bmp(65535, 65535), "a.bmp: truncated BMP (it ends at byte "},
      {"os2.bmp", os2_bmp(),
       "os2.bmp: damaged or unsupported BMP (a palette behind a header of OS/2"},
      {"a.gif", gif(65535, 65535, 65535, 65535),
       "a.gif: truncated GIF (2 bytes cannot hold 65535 x 65535 pixels)"},
      {"canvas.gif", gif(65535, 65535, 1, 1), "canvas.gif: 65535 x 65535" + std::string(kTooLarge)},
      {"a.webp", webp(65535, 65535), "a.webp: 65535 x 65535" + std::string(kTooLarge)},
      {"lossless.webp", lossless_webp(16383, 16383),
       "lossless.webp: 16383 x 16383" + std::string(kTooLarge)},
  };
  const long before_kib = peak_kib();
  for (const Case& bomb : cases) {
    CAPTURE(bomb.name);
    double fastest_ms = 1e9;
    for (int repeat = 0; repeat < 5; ++repeat) {
      const double start_ms = cpu_ms();
      const std::string message = error_message(
          ErrorCode::kBadImage, [&] { vsearch::decode_image(bomb.bytes, bomb.name); });
      fastest_ms = std::min(fastest_ms, cpu_ms() - start_ms);
      REQUIRE_THAT(message, Catch::StartsWith(bomb.message));
    }
    CHECK(fastest_ms < 50);
    CHECK(peak_kib() - before_kib < 64 * 1024);
  }
}

TEST_CASE("a JPEG may have as many scans as the limit says") {
  const Bytes bytes = jpeg_of_scans(20);
  REQUIRE(vsearch::image::count_scans(bytes) == 20);
  DecodeOptions options;
  options.limits.max_scans = 19;
  CHECK(error_message(ErrorCode::kBadImage,
                      [&] { vsearch::decode_image(bytes, "a.jpg", options); }) ==
        "a.jpg: 20 scans are more than the limit of 19 scans; save the JPEG again without "
        "\"progressive\" or raise DecodeLimits::max_scans");
  // The repeated scan refines bits that are fine already, which libjpeg warns of.
  options.limits.max_scans = 20;
  options.lenient = true;
  CHECK(vsearch::decode_image(bytes, "a.jpg", options).width_px == 24);
  options.limits.max_scans = 1;
  CHECK(vsearch::decode_image(picture_bytes("420.jpg"), "a.jpg", options).width_px == 24);
}

TEST_CASE("decoding a JPEG ends when its time is over") {
  DecodeOptions options;
  options.limits.max_time_ms = 0;
  for (const char* name : {"420.jpg", "progressive.jpg"}) {
    CHECK(
        error_message(ErrorCode::kBadImage,
                      [&] { vsearch::decode_image(picture_bytes(name), "a.jpg", options); }) ==
        "a.jpg: decoding the JPEG takes longer than the limit of 0 ms; save it smaller or without "
        "\"progressive\", or raise DecodeLimits::max_time_ms");
  }
}

TEST_CASE("the scans of a broken JPEG are counted without reading past its end") {
  const Bytes whole = jpeg_of_scans(12);
  std::uint64_t before = 0;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const std::uint64_t scans = vsearch::image::count_scans(std::span(whole).first(size));
    CHECK((scans == before || scans == before + 1));
    before = scans;
  }
  CHECK(before == 12);
}

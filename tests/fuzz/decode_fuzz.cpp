// Any bytes: decode_image() gives the same picture every time or an Error of the kind that it
// documents. The sanitizers watch for the rest.
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "vsearch/error.h"
#include "vsearch/image.h"

namespace {

using Bytes = std::span<const std::byte>;

void require(bool holds) {
  if (!holds) std::abort();
}

std::optional<vsearch::Image> decode(Bytes bytes, const vsearch::DecodeOptions& options) {
  try {
    vsearch::Image image = vsearch::decode_image(bytes, "fuzz", options);
    const std::size_t size = std::size_t{image.width_px} * image.height_px * 3;
    require(size > 0 && image.pixels.size() == size);
    return image;
  } catch (const vsearch::Error& error) {
    require(error.code() == vsearch::ErrorCode::kBadImage);
    return std::nullopt;
  }
}

void decode_twice(Bytes bytes, const vsearch::DecodeOptions& options) {
  const auto first = decode(bytes, options);
  const auto second = decode(bytes, options);
  require(first.has_value() == second.has_value());
  if (first) require(first->pixels == second->pixels && first->width_px == second->width_px);
}

// A changed byte in a PNG is found by its checksum, so nothing behind that would ever be tried:
// gives each chunk the checksum that it should have.
std::vector<std::byte> with_right_checksums(Bytes png) {
  constexpr std::size_t kSignatureBytes = 8;
  std::vector<std::byte> result(png.begin(), png.end());
  const auto u8 = [&result](std::size_t at) { return std::to_integer<std::size_t>(result[at]); };
  for (std::size_t at = kSignatureBytes; result.size() - at >= 12;) {
    const std::size_t length = u8(at) << 24 | u8(at + 1) << 16 | u8(at + 2) << 8 | u8(at + 3);
    if (length > result.size() - at - 12) break;
    const auto checksum = crc32_z(0, reinterpret_cast<const Bytef*>(&result[at + 4]), length + 4);
    for (std::size_t i = 0; i < 4; ++i) {
      result[at + 8 + length + i] = static_cast<std::byte>(checksum >> (24 - 8 * i) & 0xFF);
    }
    at += 12 + length;
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  vsearch::DecodeOptions options;
  options.limits.max_pixels = 1 << 20;
  // Else what is refused for its time would differ from run to run.
  options.limits.max_time_ms = 60000;
  decode_twice(bytes, options);
  if (size > 8 && std::memcmp(data, "\x89PNG\r\n\x1A\n", 8) == 0) {
    decode_twice(with_right_checksums(bytes), options);
  }
  if (size > 2 && data[0] == 0xFF && data[1] == 0xD8) {
    options.cover_width_px = 40;
    decode_twice(bytes, options);
    options.lenient = true;
    decode_twice(bytes, options);
  }
  return 0;
}

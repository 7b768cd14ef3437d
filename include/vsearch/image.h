// Pictures: from the bytes of a file to RGB pixels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace vsearch {

// The order of the 8-bit channels of a pixel. The alpha of kRgba and kBgra is straight, not
// premultiplied.
enum class PixelFormat { kRgb, kBgr, kGrey, kRgba, kBgra };

constexpr std::uint32_t bytes_per_pixel(PixelFormat format) {
  return format == PixelFormat::kGrey                                   ? 1
         : format == PixelFormat::kRgba || format == PixelFormat::kBgra ? 4
                                                                        : 3;
}

// Borrowed 8-bit pixels, interleaved (R, G, B, R, G, B, ... for kRgb), the top row first: a decoded
// picture, a camera's frame, an array.
struct ImageView {
  const std::uint8_t* data = nullptr;
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  std::size_t stride_bytes = 0;  // from one row to the next; at least a row's pixels
  PixelFormat format = PixelFormat::kRgb;

  const std::uint8_t* row(std::uint32_t y) const { return data + std::size_t{y} * stride_bytes; }
};

// Owned 8-bit RGB pixels, dense (stride = 3 * width).
struct Image {
  std::vector<std::uint8_t> pixels;  // [height * width * 3]
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;

  Image() = default;
  Image(std::uint32_t width, std::uint32_t height)
      : pixels(std::size_t{width} * height * 3), width_px(width), height_px(height) {}

  ImageView view() const { return {pixels.data(), width_px, height_px, std::size_t{width_px} * 3}; }
};

// Limits against files made to exhaust the host. All but the time are checked from the file's
// structure, before memory for the pixels is taken.
struct DecodeLimits {
  std::uint64_t max_bytes = std::uint64_t{256} << 20;  // of the encoded file
  // Width * height, as the file says. Decoding takes up to 12 bytes a pixel, 3 of which stay.
  std::uint64_t max_pixels = std::uint64_t{100} << 20;
  std::uint32_t max_scans = 100;      // of a JPEG: each makes the decoder pass over all pixels
  std::uint32_t max_time_ms = 10000;  // of decoding a JPEG, the one format that can take long
};

struct DecodeOptions {
  DecodeLimits limits{};
  // A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is faster, as long as the upright
  // result is a quarter wider and higher than this (so that it is good for being resized to it) and
  // hardly stretched: a last column that stands for part of a pixel must not move what is resized
  // by more than a fifth of a pixel. 0: no such wish; with both 0 every picture has its full size.
  std::uint32_t cover_width_px = 0;
  std::uint32_t cover_height_px = 0;
  // Take what could be decoded of a damaged or truncated JPEG; what is missing is grey or black.
  bool lenient = false;
  std::array<std::uint8_t, 3> background{255, 255, 255};  // RGB, behind transparent pixels
};

// Decodes a JPEG (greyscale, YCbCr, RGB, CMYK, YCCK, progressive), PNG, GIF (first frame), BMP or
// WebP (first frame) held in memory. The content decides the format. The EXIF orientation of a JPEG
// is applied, so the result stands upright. Transparent pixels are composited on the background.
// `name` appears in error messages: a path, or a word such as "query".
// Throws Error: kBadImage (empty, truncated, damaged, unknown format, over the limits),
// kOutOfMemory.
// Threads: safe to call from many threads.
Image decode_image(std::span<const std::byte> encoded, const char* name = "picture",
                   const DecodeOptions& options = {});

// Reads and decodes the file at `path`.
// Throws Error: kFileNotFound, kIo (a folder, no permission), and what decode_image() throws.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

// The whole file at `path`, for callers that need its bytes as well as its pixels.
// Throws Error: kFileNotFound, kIo, kBadImage (larger than limits.max_bytes).
std::vector<std::byte> read_image_file(const std::filesystem::path& path,
                                       const DecodeLimits& limits = {});

// Whether a file name ends like one of the formats above (.jpg .jpeg .png .gif .bmp .webp, in any
// case): what a folder walk takes for a picture.
bool has_image_extension(const std::filesystem::path& path);

}  // namespace vsearch

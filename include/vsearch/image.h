// Pictures: from the bytes of a file to RGB pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace vsearch {

// Borrowed 8-bit RGB pixels, interleaved (R, G, B, R, G, B, ...), the top row first.
struct ImageView {
  const std::uint8_t* data = nullptr;
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  std::size_t stride_bytes = 0;  // from one row to the next; at least 3 * width_px

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

// Limits against files made to exhaust the host. They are checked from the file's header, before
// memory for the pixels is taken.
struct DecodeLimits {
  std::uint64_t max_bytes = std::uint64_t{256} << 20;   // of the encoded file
  std::uint64_t max_pixels = std::uint64_t{100} << 20;  // width * height after decoding
};

// Decodes a JPEG (greyscale, YCbCr, CMYK, YCCK, progressive), PNG, GIF (first frame) or BMP held in
// memory. The content decides the format. The EXIF orientation of a JPEG is applied, so the result
// stands upright. Transparent pixels are composited on white.
// `name` appears in error messages: a path, or a word such as "query".
// Throws Error: kBadImage (empty, truncated, damaged, unknown format, over the limits),
// kOutOfMemory.
// Threads: safe to call from many threads.
Image decode_image(std::span<const std::byte> encoded, const char* name = "picture",
                   const DecodeLimits& limits = {});

// Reads and decodes the file at `path`.
// Throws Error: kFileNotFound, kIo (a folder, no permission), and what decode_image() throws.
Image read_image(const std::filesystem::path& path, const DecodeLimits& limits = {});

// The whole file at `path`, for callers that need its bytes as well as its pixels.
// Throws Error: kFileNotFound, kIo, kBadImage (larger than limits.max_bytes).
std::vector<std::byte> read_image_file(const std::filesystem::path& path,
                                       const DecodeLimits& limits = {});

// Whether a file name ends like one of the formats above (.jpg .jpeg .png .gif .bmp, any case):
// what a folder walk takes for a picture.
bool has_image_extension(const std::filesystem::path& path);

}  // namespace vsearch

#include "image/stb.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>

#include "image/limits.h"
#include "image/structure.h"
#include "vsearch/error.h"

namespace {

// What stb_image may take on this thread. Its PNG reader grows its buffer for as long as compressed
// data come, whatever the header said, so a small file could ask for gigabytes.
struct BlockLimit {
  std::size_t largest_bytes = 0;
  bool exceeded = false;
};
thread_local BlockLimit block_limit;

bool allowed(std::size_t bytes) {
  if (bytes > block_limit.largest_bytes) block_limit.exceeded = true;
  return bytes <= block_limit.largest_bytes;
}
void* limited_malloc(std::size_t bytes) {
  return allowed(bytes) ? std::malloc(bytes) : nullptr;
}
void* limited_realloc(void* block, std::size_t bytes) {
  return allowed(bytes) ? std::realloc(block, bytes) : nullptr;
}

}  // namespace

// The whole of stb_image, private to this file. CMakeLists.txt has its uninitialised tables filled
// with zeros: a palette index beyond the palette then gives black, the same every time.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ASSERT(condition) ((void)0)  // a library must not abort its host
#define STBI_MALLOC(bytes) limited_malloc(bytes)
#define STBI_REALLOC(block, bytes) limited_realloc(block, bytes)
#define STBI_FREE(block) std::free(block)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace vsearch::image {
namespace {

constexpr unsigned kWhite = 255;

struct FreePixels {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

const char* format_name(Format format) {
  return format == Format::kPng ? "PNG" : format == Format::kGif ? "GIF" : "BMP";
}

std::uint8_t over_white(unsigned value, unsigned alpha) {
  return static_cast<std::uint8_t>((value * alpha + kWhite * (255 - alpha) + 127) / 255);
}

// `channels`: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
void to_rgb(const stbi_uc* pixels, int channels, bool may_have_alpha, Image& image) {
  const std::size_t count = std::size_t{image.width_px} * image.height_px;
  std::uint8_t* to = image.pixels.data();
  if (channels == 3) {
    std::copy_n(pixels, count * 3, to);
    return;
  }
  const std::size_t step = static_cast<std::size_t>(channels);
  const std::size_t green = channels > 2 ? 1 : 0;
  const std::size_t blue = channels > 2 ? 2 : 0;
  const bool has_alpha = may_have_alpha && channels != 1;
  for (std::size_t i = 0; i < count; ++i, pixels += step, to += 3) {
    const unsigned alpha = has_alpha ? pixels[step - 1] : 255U;
    to[0] = over_white(pixels[0], alpha);
    to[1] = over_white(pixels[green], alpha);
    to[2] = over_white(pixels[blue], alpha);
  }
}

}  // namespace

Image decode_by_stb(Format format, std::span<const std::byte> encoded, const char* name,
                    const DecodeLimits& limits) {
  const Structure structure = check_structure(format, encoded, name);
  check_pixels(name, structure.width_px, structure.height_px, limits);
  if (encoded.size() > INT_MAX) {
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: a {} of more than 2 GiB cannot be read; convert it to JPEG", name,
                            format_name(format)));
  }
  // At most 8 bytes a pixel (16-bit RGBA) and a few for each row and pass, doubled as it grows.
  constexpr std::size_t kSmallTablesBytes = std::size_t{64} << 10;
  const std::uint64_t pixels_bytes = structure.width_px * structure.height_px * 8 +
                                     (structure.width_px + structure.height_px) * 16;
  block_limit = {kSmallTablesBytes + 2 * std::max<std::size_t>(encoded.size(), pixels_bytes),
                 false};
  int width = 0;
  int height = 0;
  int channels = 0;
  const std::unique_ptr<stbi_uc, FreePixels> pixels(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(encoded.data()),
                            static_cast<int>(encoded.size()), &width, &height, &channels, 0));
  if (!pixels) {
    const std::string_view reason =
        block_limit.exceeded ? "its data are more than its pixels" : stbi_failure_reason();
    if (reason == "outofmem") throw std::bad_alloc();
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: damaged or unsupported {} ({}); copy or export the picture again",
                            name, format_name(format), reason));
  }
  Image image(static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height));
  to_rgb(pixels.get(), channels, structure.may_have_alpha, image);
  return image;
}

}  // namespace vsearch::image

// The only door to stb_image, which is compiled in stb_library.cpp and private to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace vsearch::image {

struct FreeStbPixels {
  void operator()(std::uint8_t* pixels) const;
};

struct StbPicture {
  std::unique_ptr<std::uint8_t, FreeStbPixels> pixels;  // null: not decoded, see failure
  int width_px = 0;
  int height_px = 0;
  int channels = 0;               // 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha
  const char* failure = nullptr;  // a few words
  bool needs_larger_block = false;
};

// Decodes a PNG, GIF or BMP of at most 2 GiB without taking a block of memory larger than
// `largest_block_bytes`: stb_image's PNG reader grows its buffer for as long as compressed data
// come, whatever the header said, so a small file could ask for gigabytes.
StbPicture stb_decode(std::span<const std::byte> encoded, std::size_t largest_block_bytes);

}  // namespace vsearch::image

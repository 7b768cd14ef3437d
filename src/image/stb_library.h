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
};

// Decodes a GIF or BMP of at most 2 GiB.
StbPicture stb_decode(std::span<const std::byte> encoded);

}  // namespace vsearch::image

// Laying transparent pixels over the background that the caller chose.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vsearch::image {

using Rgb = std::array<std::uint8_t, 3>;

inline std::uint8_t composite(unsigned value, unsigned alpha, unsigned background) {
  return static_cast<std::uint8_t>((value * alpha + background * (255 - alpha) + 127) / 255);
}

// `count` pixels of 4 bytes, straight alpha last, to as many of 3 bytes.
inline void composite_rgba(const std::uint8_t* from, std::size_t count, const Rgb& background,
                           std::uint8_t* to) {
  for (std::size_t i = 0; i < count; ++i, from += 4, to += 3) {
    if (from[3] == 255) {
      std::memcpy(to, from, 3);
      continue;
    }
    for (std::size_t c = 0; c < 3; ++c) to[c] = composite(from[c], from[3], background[c]);
  }
}

}  // namespace vsearch::image

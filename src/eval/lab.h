// CIE L*a*b* (CIE 1976, white point D65): colours in which distances are about as large as they
// look.
#pragma once

#include <array>
#include <cstdint>

namespace vsearch::eval {

struct Lab {
  float lightness = 0;  // 0 black to 100 white
  float a = 0;          // green to red
  float b = 0;          // blue to yellow
};

// Of an sRGB colour (IEC 61966-2-1).
Lab to_lab(const std::uint8_t* rgb);

// The nearest sRGB colour of the same lightness and hue: one that is too vivid for sRGB loses
// chroma.
std::array<std::uint8_t, 3> to_srgb(const Lab& lab);

// Euclidean, which is CIE 1976's colour difference: 2.3 is just noticeable.
float distance(const Lab& a, const Lab& b);

}  // namespace vsearch::eval

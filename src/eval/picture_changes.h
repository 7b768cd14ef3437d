// What happens to pictures on their way to a shop, and what a picture is changed by to see what an
// encoder looks at. All give a picture of the same size unless they say otherwise, and the same
// one each time.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "vsearch/image.h"

namespace vsearch::eval {

// How much each pixel belongs to the subject: 0 the background to 1.
struct Mask {
  std::vector<float> values;  // [height x width]
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;

  Mask() = default;
  Mask(std::uint32_t width, std::uint32_t height)
      : values(std::size_t{width} * height), width_px(width), height_px(height) {}
};

// A picture of another size: averaged where it shrinks, bilinear where it grows.
Image resize(const ImageView& image, std::uint32_t width_px, std::uint32_t height_px);
// The same with a longer side of `longer_px`; as it is if it is not larger.
Image shrink(const ImageView& image, std::uint32_t longer_px);
Mask resize(const Mask& mask, std::uint32_t width_px, std::uint32_t height_px);

// In greys of the same lightness (L*).
Image greyscale(const Image& image);
// All hues turned by that angle in CIE L*a*b*: lightness stays, chroma too where sRGB has room.
Image rotate_hue(const Image& image, float degrees);
// `changed` where the mask says subject, `image` elsewhere. All of one size.
Image within(const Mask& subject, const Image& changed, const Image& image);

// A window of half the area and the same proportions, smaller than the picture; `seed` says where.
Image crop_half(const Image& image, std::uint64_t seed);
// Turned anticlockwise; the corners that come in repeat the edge.
Image rotate(const Image& image, float degrees);
Image rotate_quarter(const Image& image);  // by 90 degrees: width and height change places
// Gaussian, with a standard deviation of that share of the shorter side.
Image blur(const Image& image, float share);
// Saved as a JPEG of that quality (1 to 100), chroma at half the resolution, and read again.
Image recompress(const Image& image, int quality);
// Gaussian noise in each channel, with a standard deviation in steps of 8 bits.
Image add_noise(const Image& image, float deviation, std::uint64_t seed);
// As if that share of the light had been there; dark noise as of a phone's camera.
Image darken(const Image& image, float share, std::uint64_t seed);
// A word written across the middle, white on a black band: a typographic attack. Letters that the
// font lacks become spaces.
Image write_across(const Image& image, std::string_view word);

}  // namespace vsearch::eval

#include "eval/near_duplicates.h"

#include <bit>
#include <cstddef>

#include "eval/picture_changes.h"

namespace vsearch::eval {
namespace {

constexpr int kNearBits = 8;         // of 64
constexpr float kNearColour = 8.0F;  // of L*a*b*, between means: another exposure

std::uint64_t difference_hash(const Image& image) {
  const Image small = resize(image.view(), 9, 8);
  std::uint64_t hash = 0;
  const auto lightness = [&](std::size_t x, std::size_t y) {
    const std::uint8_t* rgb = small.pixels.data() + (y * 9 + x) * 3;
    return 299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2];
  };
  for (std::size_t y = 0; y < 8; ++y) {
    for (std::size_t x = 0; x < 8; ++x) {
      hash = hash << 1 | (lightness(x, y) < lightness(x + 1, y) ? 1U : 0U);
    }
  }
  return hash;
}

}  // namespace

Look look_at(const Image& small) {
  const Image mean = resize(small.view(), 1, 1);
  return {difference_hash(small), to_lab(mean.pixels.data())};
}

bool are_alike(const Look& a, const Look& b) {
  return std::popcount(a.hash ^ b.hash) <= kNearBits && distance(a.mean, b.mean) <= kNearColour;
}

}  // namespace vsearch::eval

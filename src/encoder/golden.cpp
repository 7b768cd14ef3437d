#include "encoder/golden.h"

#include <fmt/format.h>

#include <cmath>

#include "vsearch/error.h"

namespace vsearch::encoder {
namespace {

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

}  // namespace

Image golden_picture(std::uint32_t width_px, std::uint32_t height_px, std::uint64_t seed) {
  Image image(width_px, height_px);
  std::uint8_t* to = image.pixels.data();
  for (std::uint64_t y = 0; y < height_px; ++y) {
    for (std::uint64_t x = 0; x < width_px; ++x) {
      for (std::uint64_t c = 0; c < 3; ++c) {
        const std::uint64_t waves = x * x * (3 + c) + y * y * (5 + seed) + x * y * (2 + c * seed);
        std::uint64_t value = (waves / 64 + 37 * c + 11 * seed) % 256;
        if (value > 127) value = 255 - value;
        *to++ = static_cast<std::uint8_t>(2 * value);
      }
    }
  }
  return image;
}

void check_golden(const std::string& path, const std::string& what, std::span<const float> golden,
                  std::span<const float> computed, const GoldenTolerance& tolerance) {
  const double expected_length = std::sqrt(dot(golden, golden));
  const double length = std::sqrt(dot(computed, computed));
  const double cosine = length > 0 ? dot(computed, golden) / (length * expected_length) : 0.0;
  const double ratio = length / expected_length;
  if (cosine >= tolerance.min_cosine && std::abs(ratio - 1) <= tolerance.max_length_difference) {
    return;
  }
  throw Error(
      ErrorCode::kBadModel,
      fmt::format("{}: {} does not match: cosine {:.5f} (at least {:.5f} is needed), {:.3f} times "
                  "as long. The preprocessing in the manifest, the weights or a numeric library is "
                  "not what the package was made with; make the package again, or load it with "
                  "EncoderOptions::verify = false to use it as it is",
                  path, what, cosine, tolerance.min_cosine, ratio));
}

}  // namespace vsearch::encoder

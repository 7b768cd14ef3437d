#include "eval/backgrounds.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "eval/lab.h"
#include "eval/seeded.h"

namespace vsearch::eval {
namespace {

constexpr float kMoved = 60.0F;  // of L*a*b*: from red to green, say
// What belongs to the subject by a tenth has some of its colour.
constexpr float kLeastSubject = 0.1F;

// Colours, each as far as it is known.
struct Level {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::vector<std::array<float, 4>> pixels;  // red, green and blue times weight; weight in [0, 1]
};

Level coarser(const Level& fine) {
  Level result{(fine.width + 1) / 2, (fine.height + 1) / 2, {}};
  result.pixels.resize(std::size_t{result.width} * result.height);
  for (std::uint32_t y = 0; y < fine.height; ++y) {
    for (std::uint32_t x = 0; x < fine.width; ++x) {
      auto& to = result.pixels[std::size_t{y / 2} * result.width + x / 2];
      const auto& from = fine.pixels[std::size_t{y} * fine.width + x];
      for (std::size_t c = 0; c < 4; ++c) to[c] += from[c];
    }
  }
  for (auto& pixel : result.pixels) {
    if (pixel[3] <= 1.0F) continue;
    for (std::size_t c = 0; c < 3; ++c) pixel[c] /= pixel[3];
    pixel[3] = 1.0F;
  }
  return result;
}

// Of a level without holes, between its pixels.
std::array<float, 3> between(const Level& level, float x, float y) {
  const float cx = std::clamp(x, 0.0F, static_cast<float>(level.width - 1));
  const float cy = std::clamp(y, 0.0F, static_cast<float>(level.height - 1));
  const auto x0 = static_cast<std::uint32_t>(cx);
  const auto y0 = static_cast<std::uint32_t>(cy);
  const std::uint32_t x1 = std::min(x0 + 1, level.width - 1);
  const std::uint32_t y1 = std::min(y0 + 1, level.height - 1);
  const float fx = cx - static_cast<float>(x0);
  const float fy = cy - static_cast<float>(y0);
  const auto at = [&](std::uint32_t px, std::uint32_t py, std::size_t c) {
    return level.pixels[std::size_t{py} * level.width + px][c];
  };
  std::array<float, 3> result{};
  for (std::size_t c = 0; c < 3; ++c) {
    result[c] = (at(x0, y0, c) * (1 - fx) + at(x1, y0, c) * fx) * (1 - fy) +
                (at(x0, y1, c) * (1 - fx) + at(x1, y1, c) * fx) * fy;
  }
  return result;
}

void fill_holes(Level& fine, const Level& full) {
  for (std::uint32_t y = 0; y < fine.height; ++y) {
    for (std::uint32_t x = 0; x < fine.width; ++x) {
      auto& pixel = fine.pixels[std::size_t{y} * fine.width + x];
      if (pixel[3] >= 1.0F) continue;
      const auto around =
          between(full, (static_cast<float>(x) - 0.5F) / 2, (static_cast<float>(y) - 0.5F) / 2);
      for (std::size_t c = 0; c < 3; ++c) pixel[c] += (1.0F - pixel[3]) * around[c];
      pixel[3] = 1.0F;
    }
  }
}

// The pixels that are background, the darkest first.
std::vector<std::size_t> by_lightness(const Image& image, const Mask& subject) {
  std::vector<std::pair<float, std::size_t>> found;
  for (std::size_t i = 0; i < subject.values.size(); ++i) {
    if (subject.values[i] > kLeastSubject) continue;
    found.emplace_back(to_lab(image.pixels.data() + i * 3).lightness, i);
  }
  std::ranges::sort(found);
  std::vector<std::size_t> result;
  for (const auto& [lightness, pixel] : found) result.push_back(pixel);
  return result;
}

void put(Image& image, std::size_t pixel, const std::array<std::uint8_t, 3>& rgb) {
  std::ranges::copy(rgb, image.pixels.begin() + static_cast<std::ptrdiff_t>(pixel * 3));
}

}  // namespace

Image fill_subject(const Image& image, const Mask& subject) {
  std::vector<Level> levels(1);
  levels[0] = {image.width_px, image.height_px, {}};
  levels[0].pixels.resize(subject.values.size());
  for (std::size_t i = 0; i < subject.values.size(); ++i) {
    const float weight = std::clamp(1.0F - subject.values[i] / kLeastSubject, 0.0F, 1.0F);
    for (std::size_t c = 0; c < 3; ++c) {
      levels[0].pixels[i][c] = weight * static_cast<float>(image.pixels[i * 3 + c]);
    }
    levels[0].pixels[i][3] = weight;
  }
  while (levels.back().width > 1 || levels.back().height > 1) {
    levels.push_back(coarser(levels.back()));
  }
  auto& last = levels.back().pixels[0];
  if (last[3] <= 0.0F) last = {127.0F, 127.0F, 127.0F, 1.0F};  // nothing but subject
  for (std::size_t c = 0; c < 3; ++c) last[c] /= last[3];
  last[3] = 1.0F;
  for (std::size_t i = levels.size() - 1; i > 0; --i) fill_holes(levels[i - 1], levels[i]);

  Image result(image.width_px, image.height_px);
  for (std::size_t i = 0; i < result.pixels.size(); ++i) {
    const float value = std::clamp(levels[0].pixels[i / 3][i % 3], 0.0F, 255.0F);
    result.pixels[i] = static_cast<std::uint8_t>(std::lround(value));
  }
  return result;
}

Image plain_picture(std::uint32_t width_px, std::uint32_t height_px, std::uint64_t seed) {
  Seeded random(seed);
  const auto channel = [&] { return static_cast<std::uint8_t>(random.below(256)); };
  const std::array<std::uint8_t, 3> colour{channel(), channel(), channel()};
  Image result(width_px, height_px);
  for (std::size_t i = 0; i < result.pixels.size(); ++i) result.pixels[i] = colour[i % 3];
  return result;
}

Image match_colours(const Image& image, const Image& like, const Mask& subject) {
  const std::vector<std::size_t> to = by_lightness(image, subject);
  const std::vector<std::size_t> from = by_lightness(like, subject);
  Image result = image;
  for (std::size_t rank = 0; rank < to.size(); ++rank) {
    const std::uint8_t* const colour = like.pixels.data() + from[rank] * 3;
    put(result, to[rank], {colour[0], colour[1], colour[2]});
  }
  return result;
}

Image recolour_subject(const Image& image, const Mask& subject) {
  double a = 0;
  double b = 0;
  for (std::size_t i = 0; i < subject.values.size(); ++i) {
    const Lab lab = to_lab(image.pixels.data() + i * 3);
    a += double{subject.values[i]} * lab.a;
    b += double{subject.values[i]} * lab.b;
  }
  const double length = std::hypot(a, b);
  const float step_a = length > 0 ? static_cast<float>(-kMoved * a / length) : kMoved;
  const float step_b = length > 0 ? static_cast<float>(-kMoved * b / length) : 0.0F;
  Image moved(image.width_px, image.height_px);
  for (std::size_t i = 0; i < subject.values.size(); ++i) {
    const Lab lab = to_lab(image.pixels.data() + i * 3);
    put(moved, i, to_srgb({lab.lightness, lab.a + step_a, lab.b + step_b}));
  }
  return within(subject, moved, image);
}

}  // namespace vsearch::eval

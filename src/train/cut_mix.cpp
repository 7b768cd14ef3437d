#include "train/cut_mix.h"

#include <algorithm>
#include <cmath>

#include "eval/seeded.h"

namespace vsearch::training {
namespace {

struct Stretch {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t length() const { return end - begin; }
};

// About `length` of `whole` pixels around a middle that lies anywhere.
Stretch random_stretch(std::int64_t whole, double length, eval::Seeded& random) {
  const auto middle = static_cast<std::int64_t>(random.below(static_cast<std::size_t>(whole)));
  const auto half = static_cast<std::int64_t>(std::lround(length / 2));
  return {std::max<std::int64_t>(0, middle - half), std::min(whole, middle + half)};
}

}  // namespace

std::optional<MixedBatch> cut_mix(const Batch& batch, double often, std::uint64_t seed) {
  const std::int64_t count = batch.pixels.size(0);
  eval::Seeded random(seed);
  if (often <= 0 || count < 2 || random.share() > often) return std::nullopt;
  const std::int64_t height = batch.pixels.size(2);
  const std::int64_t width = batch.pixels.size(3);
  const double side = std::sqrt(random.share());  // of a rectangle with that share of the area
  const Stretch y = random_stretch(height, side * static_cast<double>(height), random);
  const Stretch x = random_stretch(width, side * static_cast<double>(width), random);
  const auto next =
      static_cast<std::int64_t>(1 + random.below(static_cast<std::size_t>(count - 1)));

  MixedBatch mixed;
  const auto window = [&](const at::Tensor& pixels) {
    return pixels.slice(2, y.begin, y.end).slice(3, x.begin, x.end);
  };
  mixed.pixels = batch.pixels.clone();
  window(mixed.pixels).copy_(window(batch.pixels).roll(next, 0));
  mixed.others = batch.labels.roll(next, 0);
  mixed.own_share =
      1 - static_cast<double>(y.length() * x.length()) / static_cast<double>(height * width);
  return mixed;
}

}  // namespace vsearch::training

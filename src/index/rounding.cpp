#include "index/rounding.h"

#include <algorithm>
#include <cmath>

namespace vsearch::index {
namespace {

constexpr double kUnitRoundoff = 0x1p-24;  // of float32

// Unit vectors are this long at most: what is kept of them is rounded.
constexpr double kLongestUnitVector = 1.5;

}  // namespace

// A float32 sum of n products is off by at most n u / (1 - n u) of the sum of their magnitudes, in
// whatever order (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). Both ways
// count, and each rounds a few times more than there are dimensions; the third part is to spare.
Rounding::Rounding(const VectorStore& vectors, Metric metric)
    : metric_(metric),
      relative_(3.0 * (static_cast<double>(vectors.dim()) + 16.0) * kUnitRoundoff),
      reach_(0),
      range_(0) {
  const FixedPoint& numbers = vectors.numbers();
  for (std::size_t i = 0; i < numbers.low.size(); ++i) {
    const double range = 256.0 * static_cast<double>(numbers.step[i]);
    const double reach = std::abs(static_cast<double>(numbers.low[i])) + range;
    range_ += range * range;
    reach_ += reach * reach;
  }
  range_ = std::sqrt(range_);
  reach_ = std::sqrt(reach_);
}

double Rounding::bound(double query, double vector) const {
  if (metric_ != Metric::kL2) {
    // exact() sums q low, q step h and q unit l apart, which may be much larger than their sum.
    const double longest = metric_ == Metric::kCosine ? kLongestUnitVector : vector;
    return relative_ * (1.0 + query * (longest + reach_));
  }
  // read() rounds low + step h + unit l, wherever the centre is; exact() counts from the lower
  // ends.
  const double both = query + vector;
  const double shift = 4.0 * kUnitRoundoff * reach_;
  return relative_ * (both + range_) * (both + range_) + shift * (2.0 * both + shift);
}

std::vector<float> centre(const VectorStore& vectors, std::span<const Slot> slots) {
  constexpr std::size_t kSample = 64;
  const std::size_t count = std::min(kSample, slots.size());
  std::vector<double> sums(vectors.dim());
  std::vector<float> vector(vectors.dim());
  for (std::size_t i = 0; i < count; ++i) {
    vectors.read(slots[i * slots.size() / count], vector);
    for (std::size_t d = 0; d < vector.size(); ++d) sums[d] += vector[d];
  }
  for (std::size_t d = 0; d < vector.size(); ++d) {
    vector[d] = count == 0 ? 0.0F : static_cast<float>(sums[d] / static_cast<double>(count));
  }
  return vector;
}

}  // namespace vsearch::index

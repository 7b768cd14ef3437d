#include "index/fixed_point.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace vsearch::index {
namespace {

// Room on either side, as a share of the width. An outlier costs a new encoding of everything; the
// largest of N normally distributed values grows by less than a tenth as N grows tenfold.
constexpr float kRoom = 0.1F;

// The range of one dimension.
struct Range {
  float low;
  float step;
  float unit;
};

void set_range(FixedPoint& numbers, std::size_t dimension, const Range& range) {
  numbers.low[dimension] = range.low;
  numbers.step[dimension] = range.step;
  numbers.unit[dimension] = range.unit;
}

// The finest range with `least` and `most` in it.
Range range_of(float least, float most) {
  const double width = static_cast<double>(most) - least;
  if (width <= 0.0) return {least, 0.0F, 0.0F};
  int exponent = 0;
  // Some units fewer than there are, since `low` and the step are rounded.
  if (std::frexp(width / 65000.0, &exponent) == 0.5) --exponent;
  // All multiples of the unit in the range must be floats.
  int largest = 0;
  static_cast<void>(std::frexp(std::max(std::fabs(least), std::fabs(most)), &largest));
  exponent = std::max({exponent, largest - FLT_MANT_DIG + 1, FLT_MIN_EXP});
  const double unit = std::ldexp(1.0, exponent);
  const double units = std::ceil((width / unit + 2.0) / 256.0);
  return {static_cast<float>(unit * std::floor(static_cast<double>(least) / unit)),
          static_cast<float>(unit * units), static_cast<float>(unit)};
}

}  // namespace

std::optional<std::size_t> FixedPoint::defect() const {
  constexpr float kMost = 1e19F;  // vectors are shorter: see vector_defect()
  for (std::size_t i = 0; i < dim(); ++i) {
    const bool point = step[i] == 0.0F && unit[i] == 0.0F;
    const bool range = unit[i] >= FLT_MIN && step[i] >= unit[i] && step[i] <= 256.0F * unit[i] &&
                       256.0F * step[i] <= 4.0F * kMost;
    if (!(std::fabs(low[i]) <= 2.0F * kMost) || !(point || range)) return i;
  }
  return std::nullopt;
}

bool FixedPoint::covers(std::span<const float> vector) const {
  if (low.empty()) return false;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (vector[i] < least(i) || vector[i] > most(i)) return false;
  }
  return true;
}

void FixedPoint::encode(std::span<const float> vector, std::uint8_t* high,
                        std::uint8_t* low_bytes) const {
  for (std::size_t i = 0; i < vector.size(); ++i) {
    high[i] = 0;
    low_bytes[i] = 0;
    if (unit[i] <= 0.0F) continue;
    const auto a_step = static_cast<std::uint32_t>(step[i] / unit[i] + 0.5F);  // in units
    const float units = std::clamp((vector[i] - low[i]) / unit[i] + 0.5F, 0.0F,
                                   256.0F * static_cast<float>(a_step) - 1.0F);
    const auto number = static_cast<std::uint32_t>(units);
    high[i] = static_cast<std::uint8_t>(number / a_step);
    low_bytes[i] = static_cast<std::uint8_t>(number % a_step);
  }
}

FixedPoint covering(const FixedPoint& known, const ByteExtremes& extremes,
                    std::span<const std::span<const float>> rows, std::size_t dim) {
  const bool first = known.low.empty();
  FixedPoint result = known;
  for (std::vector<float>* const part : {&result.low, &result.step, &result.unit}) {
    part->resize(dim);
  }
  double squares = 0;
  for (const std::span<const float> row : rows) {
    for (const float value : row) squares += static_cast<double>(value) * value;
  }
  const auto count = static_cast<double>(std::max<std::size_t>(1, rows.size() * dim));
  // Few vectors say little about the range of a dimension: what is usual for all of them does.
  const auto usual = static_cast<float>(std::sqrt(squares / count));
  for (std::size_t i = 0; i < dim; ++i) {
    float least = rows.front()[i];
    float most = least;
    if (!extremes.least.empty()) {
      least = known.start_of(extremes.least[i], i);
      most = known.end_of(extremes.most[i], i);
    }
    for (const std::span<const float> row : rows) {
      least = std::min(least, row[i]);
      most = std::max(most, row[i]);
    }
    const float room = kRoom * std::max(most - least, first ? usual : 0);
    least -= room;
    most += room;
    if (!first) {
      if (least >= known.least(i) && most <= known.most(i)) continue;
      least = std::min(least, known.least(i));
      most = std::max(most, known.most(i));
    }
    set_range(result, i, range_of(least, most));
  }
  return result;
}

FixedPoint narrowed(const FixedPoint& known, const ByteExtremes& extremes) {
  FixedPoint result = known;
  for (std::size_t i = 0; i < known.dim(); ++i) {
    const float from = known.start_of(extremes.least[i], i);
    const float to = known.end_of(extremes.most[i], i);
    const float room = kRoom * (to - from);
    const Range range = range_of(from - room, to + room);
    if (range.step < known.step[i]) set_range(result, i, range);
  }
  return result;
}

double relative_error(const FixedPoint& a, const FixedPoint& b) {
  double sum_a = 0;
  double sum_b = 0;
  for (std::size_t i = 0; i < a.dim(); ++i) {
    sum_a += static_cast<double>(a.step[i]) * a.step[i];
    sum_b += static_cast<double>(b.step[i]) * b.step[i];
  }
  return sum_b > 0 ? std::sqrt(sum_a / sum_b) : 1.0;
}

}  // namespace vsearch::index

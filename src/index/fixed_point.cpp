#include "index/fixed_point.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace vsearch::index {
namespace {

constexpr float kSteps = 65535.0F;

// Room on either side, as a share of the width. An outlier costs a new encoding of everything; the
// largest of N normally distributed values grows by less than a tenth as N grows tenfold.
constexpr float kRoom = 0.1F;

}  // namespace

bool FixedPoint::covers(std::span<const float> vector) const {
  if (low.empty()) return false;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (vector[i] < low[i] || vector[i] > low[i] + unit[i] * kSteps) return false;
  }
  return true;
}

void FixedPoint::encode(std::span<const float> vector, std::uint8_t* high,
                        std::uint8_t* low_bytes) const {
  for (std::size_t i = 0; i < vector.size(); ++i) {
    const float steps = unit[i] > 0.0F ? (vector[i] - low[i]) / unit[i] : 0.0F;
    const auto number = static_cast<std::uint32_t>(std::clamp(steps + 0.5F, 0.0F, kSteps));
    high[i] = static_cast<std::uint8_t>(number >> 8);
    low_bytes[i] = static_cast<std::uint8_t>(number & 0xFF);
  }
}

FixedPoint covering(const FixedPoint& known, std::span<const std::span<const float>> rows,
                    std::size_t dim) {
  FixedPoint result{std::vector<float>(dim), std::vector<float>(dim)};
  double squares = 0;
  for (const std::span<const float> row : rows) {
    for (const float value : row) squares += static_cast<double>(value) * value;
  }
  const auto count = static_cast<double>(std::max<std::size_t>(1, rows.size() * dim));
  // Few vectors say little about the range of a dimension: what is usual for all of them does.
  const auto usual = static_cast<float>(std::sqrt(squares / count));
  for (std::size_t i = 0; i < dim; ++i) {
    const bool first = known.low.empty();
    float least = first ? rows.front()[i] : known.low[i];
    float most = first ? least : known.low[i] + known.unit[i] * kSteps;
    bool exceeded = first;
    for (const std::span<const float> row : rows) {
      exceeded |= row[i] < least || row[i] > most;
      least = std::min(least, row[i]);
      most = std::max(most, row[i]);
    }
    if (!exceeded) {
      result.low[i] = known.low[i];
      result.unit[i] = known.unit[i];
      continue;
    }
    const float room = kRoom * std::max(most - least, first ? usual : 0.0F);
    result.low[i] = least - room;
    // Rounding must not leave the largest value out, nor may a narrow range have no width.
    result.unit[i] = std::max((most + room - result.low[i]) / kSteps * (1.0F + 1e-6F), FLT_MIN);
  }
  return result;
}

}  // namespace vsearch::index

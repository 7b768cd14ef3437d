#include <cmath>
#include <iterator>
#include <numeric>

#include "index/halves.h"
#include "index/index_impl.h"

namespace vsearch::index {
namespace {

// Infinite or NaN if one of the values is: squares of floats do not overflow a double.
double squared_length(std::span<const float> vector) {
  // Sums that do not wait for each other.
  constexpr std::size_t kSums = 16;
  double sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= vector.size(); i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) {
      sums[j] += static_cast<double>(vector[i + j]) * vector[i + j];
    }
  }
  for (; i < vector.size(); ++i) sums[0] += static_cast<double>(vector[i]) * vector[i];
  return std::accumulate(std::begin(sums), std::end(sums), 0.0);
}

// Every sum that a distance is computed from then stays far below FLT_MAX, 3.4e38. The largest are
// of fixed point: a query times the lower ends of all ranges. Those reach some four times as far as
// the vectors did (FixedPoint leaves room), each in its dimension, of which there are 65,536 at
// most: 4 sqrt(65,536) 1e34.
constexpr double kMaxSquaredLength = 1e34;

// Rounding to bfloat16 changes the squared length of a vector by this share at most (2^-8).
constexpr double kRounding = 5e-3;

std::string defect_of(std::span<const float> vector, Metric metric, double max_squared_length) {
  const double squared = squared_length(vector);
  if (!std::isfinite(squared)) return "holds NaN or infinity";
  if (metric == Metric::kCosine) {
    return squared > 0.0 ? "" : "is all zeros, which has no direction under the cosine metric";
  }
  return squared <= max_squared_length ? "" : "is longer than float32 distances can express";
}

}  // namespace

std::string vector_defect(std::span<const float> vector, Metric metric) {
  return defect_of(vector, metric, kMaxSquaredLength);
}

std::string vector_defect(std::span<const float> vector, const IndexOptions& options) {
  std::string defect = vector_defect(vector, options.metric);
  if (!defect.empty() || options.storage != Storage::kFloat16 ||
      options.metric == Metric::kCosine) {
    return defect;
  }
  for (const float value : vector) {
    if (std::abs(value) < kHalfOverflow) continue;
    return fmt::format(
        "holds {}, but an index of storage float16 takes values up to 65,504: scale "
        "all vectors or use bfloat16",
        value);
  }
  return {};
}

std::string stored_vector_defect(std::span<const float> vector, Metric metric) {
  std::string defect = defect_of(vector, metric, (1 + kRounding) * kMaxSquaredLength);
  if (defect.empty() && metric == Metric::kCosine &&
      std::abs(squared_length(vector) - 1.0) > kRounding) {
    defect = "is not of unit length";
  }
  return defect;
}

std::vector<float> prepared(std::span<const float> vector, Metric metric) {
  std::vector<float> result(vector.begin(), vector.end());
  if (metric == Metric::kCosine) {
    const double scale = 1.0 / std::sqrt(squared_length(vector));
    for (float& value : result) value = static_cast<float>(value * scale);
  }
  return result;
}

}  // namespace vsearch::index

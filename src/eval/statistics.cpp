// How sure a mean is, and a difference of two: resampling that is the same on every machine.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "eval/seeded.h"
#include "vsearch/error.h"
#include "vsearch/metrics.h"

namespace vsearch {
namespace {

using eval::Seeded;

// Random numbers that begin elsewhere for each resample.
Seeded random_of(std::uint64_t seed, std::uint64_t resample) {
  return Seeded(eval::mixed(eval::mixed(seed + Seeded::kStep) + resample * Seeded::kStep));
}

// Sums are taken in two halves, by turns, so that the additions do not wait for each other; in the
// same way everywhere, so that values that are all equal have equal sums.
double sum_of(std::span<const double> values) {
  double even = 0;
  double odd = 0;
  std::size_t i = 0;
  for (; i + 2 <= values.size(); i += 2) {
    even += values[i];
    odd += values[i + 1];
  }
  if (i < values.size()) even += values[i];
  return even + odd;
}

// Of as many values as there are, each drawn from all of them. A draw takes 32 random bits: one
// value in 2^32 / size is drawn more often than it should, by that small a part.
double sum_of_draws(std::span<const double> values, Seeded random) {
  const std::uint64_t size = values.size();
  double even = 0;
  double odd = 0;
  std::size_t i = 0;
  for (; i + 2 <= values.size(); i += 2) {
    const std::uint64_t bits = random.bits();
    even += values[(bits >> 32) * size >> 32];
    odd += values[(bits & 0xFFFFFFFFU) * size >> 32];
  }
  if (i < values.size()) even += values[(random.bits() >> 32) * size >> 32];
  return even + odd;
}

// Of the values, each with a random sign.
double sum_with_signs(std::span<const double> values, Seeded random) {
  constexpr std::size_t kSums = 4;
  double sums[kSums] = {};
  for (std::size_t begin = 0; begin < values.size(); begin += 64) {
    const std::uint64_t bits = random.bits();
    const std::size_t count = std::min<std::size_t>(64, values.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t sign = bits << (63 - i) & std::uint64_t{1} << 63;
      sums[i % kSums] +=
          std::bit_cast<double>(std::bit_cast<std::uint64_t>(values[begin + i]) ^ sign);
    }
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

void check_resamples(std::uint32_t resamples) {
  if (resamples > 0) return;
  throw Error(ErrorCode::kInvalidArgument,
              "0 resamples say nothing about confidence: take 1000, for instance");
}

Estimate estimate(std::span<const double> values, std::uint32_t resamples, std::uint64_t seed) {
  if (values.empty()) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    return {kNone, kNone, kNone, 0};
  }
  const auto count = static_cast<double>(values.size());
  std::vector<double> means;
  means.reserve(resamples);
  for (std::uint32_t i = 0; i < resamples; ++i) {
    means.push_back(sum_of_draws(values, random_of(seed, i)) / count);
  }
  std::ranges::sort(means);
  // An order statistic: between two of them a processor might round otherwise than another.
  const std::size_t below = (means.size() - 1) * 25 / 1000;
  return {sum_of(values) / count, means[below], means[means.size() - 1 - below], values.size()};
}

// Two-sided, that the mean is 0.
double sign_flip_p_value(std::span<const double> values, std::uint32_t resamples,
                         std::uint64_t seed) {
  // What is as large but for rounding is as large.
  constexpr double kRounding = 1e-12;
  const double observed = std::fabs(sum_of(values)) * (1 - kRounding);
  std::uint64_t as_large = 1;  // what was observed is one of the ways
  for (std::uint32_t i = 0; i < resamples; ++i) {
    as_large += std::fabs(sum_with_signs(values, random_of(seed, i))) >= observed ? 1U : 0U;
  }
  return static_cast<double>(as_large) / (static_cast<double>(resamples) + 1);
}

}  // namespace

Estimate estimate_mean(std::span<const float> values, std::uint32_t resamples, std::uint64_t seed) {
  check_resamples(resamples);
  std::vector<double> known;
  known.reserve(values.size());
  std::ranges::copy_if(values, std::back_inserter(known),
                       [](float value) { return !std::isnan(value); });
  return estimate(known, resamples, seed);
}

PairedComparison compare_paired(std::span<const float> a, std::span<const float> b,
                                std::uint32_t resamples, std::uint64_t seed) {
  check_resamples(resamples);
  if (a.size() != b.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} values cannot be paired with {}: both must be of the same queries",
                            a.size(), b.size()));
  }
  std::vector<double> differences;
  PairedComparison result;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) || std::isnan(b[i])) continue;
    differences.push_back(static_cast<double>(b[i]) - static_cast<double>(a[i]));
    ++(b[i] > a[i] ? result.better : b[i] < a[i] ? result.worse : result.equal);
  }
  result.difference = estimate(differences, resamples, seed);
  // Those without a difference have no sign.
  std::erase(differences, 0.0);
  result.p_value = sign_flip_p_value(differences, resamples, ~seed);
  return result;
}

}  // namespace vsearch

#include "eval/report_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace vsearch::report {
namespace {

constexpr const char* kDash = "–";
constexpr const char* kMinus = "−";
constexpr const char* kPercent = "\u00A0%";  // the space does not break

std::vector<float> numbers_of(std::span<const float> values) {
  std::vector<float> result;
  std::ranges::copy_if(values, std::back_inserter(result), [](float x) { return !std::isnan(x); });
  return result;
}

// With the sign that is as wide as a digit.
std::string with_minus(double value, const std::string& digits) {
  return value < 0 && digits.find_first_of("123456789") != std::string::npos ? kMinus + digits
                                                                             : digits;
}

std::string decimals(double value, int places) {
  return with_minus(value, fmt::format("{:.{}f}", std::abs(value), places));
}

}  // namespace

std::string count_of(std::uint64_t count, std::string_view one, std::string_view several) {
  return fmt::format("{} {}", with_commas(count), count == 1 ? one : several);
}

std::string percent(double share) {
  return std::isfinite(share) ? decimals(share * 100, 1) + kPercent : kDash;
}

std::string percent_points(double difference) {
  if (!std::isfinite(difference)) return kDash;
  const std::string digits = decimals(difference * 100, 1);
  return difference > 0 && digits != "0.0" ? "+" + digits : digits;
}

std::string percent_interval(const Estimate& e) {
  if (!std::isfinite(e.low) || !std::isfinite(e.high)) return kDash;
  return fmt::format("{}–{}{}", decimals(e.low * 100, 1), decimals(e.high * 100, 1), kPercent);
}

std::string percent_points_interval(const Estimate& difference) {
  if (!std::isfinite(difference.low) || !std::isfinite(difference.high)) return kDash;
  return fmt::format("{} to {}", percent_points(difference.low), percent_points(difference.high));
}

std::string p_value(double p) {
  if (!std::isfinite(p)) return kDash;
  return p < 0.001 ? "< 0.001" : decimals(p, 3);
}

std::string similarity(double cosine) {
  return std::isfinite(cosine) ? decimals(cosine, 3) : kDash;
}

std::string plain_number(double value) {
  if (!std::isfinite(value)) return kDash;
  const double size = std::abs(value);
  if (size >= 1000 && size < 1e15) {
    return with_minus(value, with_commas(static_cast<std::uint64_t>(std::llround(size))));
  }
  return with_minus(value, fmt::format("{:.3g}", size));
}

std::string plain_interval(const Estimate& e) {
  if (!std::isfinite(e.low) || !std::isfinite(e.high)) return kDash;
  return fmt::format("{} to {}", plain_number(e.low), plain_number(e.high));
}

Estimate share_of(std::uint64_t right, std::uint64_t count) {
  if (count == 0) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {nan, nan, nan, 0};
  }
  constexpr double kZ = 1.959963984540054;
  const double n = static_cast<double>(count);
  const double share = static_cast<double>(right) / n;
  const double centre = (share + kZ * kZ / (2 * n)) / (1 + kZ * kZ / n);
  const double half =
      kZ / (1 + kZ * kZ / n) * std::sqrt(share * (1 - share) / n + kZ * kZ / (4 * n * n));
  return {share, std::max(0.0, centre - half), std::min(1.0, centre + half), count};
}

double mean_of(std::span<const float> values) {
  const std::vector<float> numbers = numbers_of(values);
  if (numbers.empty()) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (const float number : numbers) sum += number;
  return sum / static_cast<double>(numbers.size());
}

double median_of(std::span<const float> values) {
  std::vector<float> numbers = numbers_of(values);
  if (numbers.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::ranges::sort(numbers);
  const std::size_t half = numbers.size() / 2;
  if (numbers.size() % 2 == 1) return numbers[half];
  return (double{numbers[half - 1]} + numbers[half]) / 2;
}

}  // namespace vsearch::report

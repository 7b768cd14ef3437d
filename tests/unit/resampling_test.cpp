// What resampling says of means: intervals that hold as often as they promise.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/errors.h"
#include "support/vectors.h"
#include "vsearch/metrics.h"

using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::Estimate;
using vsearch::estimate_mean;
using vsearch_test::error_message;
using vsearch_test::Random;

TEST_CASE("an interval covers the true mean as often as it says") {
  Random random(20);
  int covered = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<float> values;
    for (int i = 0; i < 120; ++i) values.push_back(random.below(10) < 3 ? 1.0F : 0.0F);
    const Estimate estimate = estimate_mean(values, 500, static_cast<std::uint64_t>(trial));
    CHECK(estimate.low <= estimate.mean);
    CHECK(estimate.mean <= estimate.high);
    covered += estimate.low <= 0.3 && 0.3 <= estimate.high ? 1 : 0;
  }
  CHECK(covered >= kTrials * 91 / 100);
  CHECK(covered <= kTrials * 98 / 100);
}

TEST_CASE("an interval is as wide as the normal distribution has it") {
  Random random(21);
  std::vector<float> values;
  for (int i = 0; i < 3001; ++i) values.push_back(random.normal());
  const Estimate estimate = estimate_mean(values, 4000);
  const double half = 1.96 / std::sqrt(3001.0);
  CHECK(estimate.high - estimate.mean == Approx(half).epsilon(0.08));
  CHECK(estimate.mean - estimate.low == Approx(half).epsilon(0.08));
  CHECK(estimate.count == 3001);
}

TEST_CASE("estimates leave NaN out, and are the same with the same seed") {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> values{0.5F, 0.25F, 1.0F, 0.0F, 0.75F};
  const std::vector<float> with_gaps{kNone, 0.5F, 0.25F, kNone, 1.0F, 0.0F, 0.75F, kNone};
  CHECK(estimate_mean(values) == estimate_mean(with_gaps));
  CHECK(estimate_mean(values).mean == 0.5);
  CHECK(estimate_mean(values).count == 5);
  std::vector<float> many;
  for (int i = 0; i < 500; ++i) many.push_back(static_cast<float>(i % 37) / 37.0F);
  CHECK(estimate_mean(many, 300, 7) == estimate_mean(many, 300, 7));
  CHECK_FALSE(estimate_mean(many, 300, 7) == estimate_mean(many, 300, 8));
  const Estimate none = estimate_mean(std::vector<float>{kNone, kNone});
  CHECK(std::isnan(none.mean));
  CHECK(std::isnan(none.low));
  CHECK(std::isnan(none.high));
  CHECK(none.count == 0);
  const std::vector<float> alike(77, 0.1F);
  const Estimate certain = estimate_mean(alike, 50);
  CHECK(certain.low == certain.mean);
  CHECK(certain.high == certain.mean);
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { estimate_mean(values, 0); }),
             Contains("0 resamples"));
}

// Two systems on the same queries: what is told apart, and what is not.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "support/errors.h"
#include "support/vectors.h"
#include "vsearch/metrics.h"

using Catch::Matchers::Contains;
using vsearch::compare_paired;
using vsearch::ErrorCode;
using vsearch::PairedComparison;
using vsearch_test::error_message;
using vsearch_test::Random;

TEST_CASE("systems that differ by chance alone are rarely told apart") {
  Random random(22);
  int told_apart = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<float> a;
    std::vector<float> b;
    for (int i = 0; i < 60; ++i) {
      a.push_back(random.normal());
      b.push_back(random.normal());
    }
    told_apart += compare_paired(a, b, 400).p_value <= 0.05 ? 1 : 0;
  }
  CHECK(told_apart >= kTrials * 2 / 100);
  CHECK(told_apart <= kTrials * 9 / 100);
}

TEST_CASE("a difference that is there is found") {
  Random random(23);
  std::vector<float> a;
  std::vector<float> b;
  for (int i = 0; i < 400; ++i) {
    a.push_back(random.normal());
    b.push_back(a.back() + 0.5F + random.normal());
  }
  const PairedComparison up = compare_paired(a, b, 999);
  CHECK(up.p_value == Approx(0.001));  // none of them, but what was observed
  CHECK(up.difference.mean == Approx(0.5).margin(0.15));
  CHECK(up.difference.low > 0.3);
  CHECK(up.better > up.worse);
  const PairedComparison down = compare_paired(b, a, 999);
  CHECK(down.p_value == Approx(0.001));
  CHECK(down.difference.mean == Approx(-up.difference.mean));
  CHECK(down.better == up.worse);
}

TEST_CASE("pairs are counted, and a p-value is that of all sign flips") {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> a{0.0F, 0.0F, 0.0F, kNone, 1.0F, 0.5F, 0.5F};
  const std::vector<float> b{1.0F, 1.0F, 1.0F, 1.0F, kNone, 0.5F, 0.5F};
  const PairedComparison three = compare_paired(a, b, 20'000);
  CHECK(three.better == 3);
  CHECK(three.worse == 0);
  CHECK(three.equal == 2);
  CHECK(three.difference.count == 5);
  CHECK(three.difference.mean == Approx(0.6));
  // Of the 8 ways to sign three ones, 2 have a sum as large.
  CHECK(three.p_value == Approx(0.25).margin(0.01));
  const PairedComparison alike = compare_paired(a, a);
  CHECK(alike.p_value == 1);
  CHECK(alike.difference.low == 0);
  CHECK(alike.difference.high == 0);
  CHECK(alike.equal == 6);
  const PairedComparison none = compare_paired({}, {});
  CHECK(none.p_value == 1);
  CHECK(none.difference.count == 0);
  CHECK(std::isnan(none.difference.mean));
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { compare_paired(a, std::span(b).first(3)); }),
      Contains("7") && Contains("3"));
  error_message(ErrorCode::kInvalidArgument, [&] { compare_paired(a, b, 0); });
}

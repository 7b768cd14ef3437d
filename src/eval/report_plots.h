// The plots of the report as inline SVG. Colours come from the style sheet, so that they suit
// light, dark and paper; nothing is told by colour alone. Each is 400 units wide, to be read on a
// phone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/markup.h"
#include "vsearch/metrics.h"

namespace vsearch::report {

// Systems beyond this many have no line style of their own.
inline constexpr std::size_t kMostCurves = 6;

// The recall of one system: the share of queries with a right answer among the first K.
struct RecallCurve {
  std::string system;
  struct Point {
    std::uint32_t k = 1;
    double recall = 0;
  };
  std::vector<Point> points;  // ascending by k, at least one
  struct Marked {
    std::uint32_t k = 1;
    Estimate recall;
  };
  std::vector<Marked> marked;  // with their intervals
};

// Logarithmic in K. At least one curve, at most kMostCurves.
Markup recall_plot(std::span<const RecallCurve> curves);
// The names of curves with their line and mark; as many as curves.
Markup curve_legend(std::span<const std::string> names);

struct Bar {
  std::string name;
  double value = 0;  // 0 to 1
  std::string hover;
};
struct BarGroup {
  std::string title;
  std::vector<Bar> bars;
  bool worst = false;  // stands out
};
// `mean` is marked as a line through all. At least one bar. Names that are too long are cut, and
// stand whole in their titles.
Markup bar_plot(std::span<const BarGroup> groups, double mean, const std::string& metric);

// How similar the nearest right answers (upwards) and the nearest wrong ones (downwards) are. NaN
// is left out; empty if a side has no number.
Markup similarity_plot(std::span<const float> right, std::span<const float> wrong);

// First answers of about the same similarity, and how many of them are right.
struct Bucket {
  double low = 0;  // similarity
  double high = 0;
  double mean = 0;
  Estimate right;
};
// At most `most` buckets of as many queries each, ascending; a bucket has at least 20. Empty if
// there are too few for two. `first` is NaN where there is no answer.
std::vector<Bucket> buckets_of(std::span<const float> first, const std::vector<bool>& right,
                               std::size_t most = 10);
Markup calibration_plot(std::span<const Bucket> buckets);

// What was measured after each epoch; NaN: not measured.
struct EpochCurve {
  std::string name;
  std::vector<std::uint32_t> epochs;  // ascending
  std::vector<double> values;         // of each
};
// `best`: the epoch that was written, marked. Shares from 0 to 1, or else any numbers. Empty
// without two values; at most kMostCurves.
Markup epoch_plot(std::span<const EpochCurve> curves, std::uint32_t best, bool shares);

}  // namespace vsearch::report

#include "eval/report_plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string_view>

#include "eval/report_numbers.h"
#include "util/utf8.h"

namespace vsearch::report {
namespace {

constexpr double kWidth = 400;

std::string units(double value) {
  std::string text = fmt::format("{:.1f}", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

Markup line(const char* kind, double x1, double y1, double x2, double y2) {
  return tag("line", {{"class", kind},
                      {"x1", units(x1)},
                      {"y1", units(y1)},
                      {"x2", units(x2)},
                      {"y2", units(y2)}});
}

Markup text(const char* kind, double x, double y, const std::string& content,
            const char* anchor = "start", const std::string& hover = {}) {
  return tag("text", {{"class", kind}, {"x", units(x)}, {"y", units(y)}, {"text-anchor", anchor}},
             hover.empty() ? Markup{} : tag("title", {}, hover), content);
}

// About how wide a character is in letters of 12 units, by the first byte of its UTF-8: rather too
// wide, since nobody knows which face the reader has.
double character_width(char first) {
  constexpr std::string_view kNarrow = "fijlrt.,:;'|!()[] -";
  constexpr std::string_view kWide = "mwMW@%&";
  const auto byte = static_cast<unsigned char>(first);
  if (byte >= 0xE0) return 12.5;  // Chinese, Japanese, Korean; signs
  if (kWide.find(first) != kWide.npos) return 12;
  if (byte >= 0x80 || (first >= 'A' && first <= 'Z')) return 8.5;
  return kNarrow.find(first) != kNarrow.npos ? 4.7 : 7.4;
}

// As much of one line of UTF-8 as is not wider than `width`, with an ellipsis where it was cut.
std::string fitted(const std::string& name, double width) {
  constexpr std::string_view kEllipsis = "…";
  double used = 0;
  std::size_t kept = 0;  // bytes that leave room for the ellipsis
  for (std::size_t i = 0; i < name.size(); ++i) {
    if ((static_cast<unsigned char>(name[i]) & 0xC0) == 0x80) continue;  // of the character before
    if (used + character_width(kEllipsis[0]) <= width) kept = i;
    used += character_width(name[i]);
    if (used <= width) continue;
    while (kept > 0 && name[kept - 1] == ' ') --kept;
    return name.substr(0, kept).append(kEllipsis);
  }
  return name;
}

Markup rect(const char* kind, double x, double y, double width, double height,
            const std::string& hover) {
  return tag("rect",
             {{"class", kind},
              {"x", units(x)},
              {"y", units(y)},
              {"width", units(width)},
              {"height", units(height)}},
             hover.empty() ? Markup{} : tag("title", {}, hover));
}

// A whole picture; `description` is what a screen reader says.
Markup svg(double height, const std::string& description, const Markup& elements) {
  return tag("svg",
             {{"class", "chart"},
              {"viewBox", fmt::format("0 0 {} {}", units(kWidth), units(height))},
              {"role", "img"}},
             tag("title", {}, description), elements);
}

// Where numbers from `from` to `to` lie between `begin` and `end` on the paper.
struct Axis {
  double from = 0, to = 1, begin = 0, end = 1;
  double operator()(double value) const {
    return begin + (end - begin) * std::clamp((value - from) / (to - from), 0.0, 1.0);
  }
};

// A round step that divides `range` into about `parts`.
double round_step(double range, double parts) {
  const double rough = range / parts;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) return factor * power;
  }
  return 10 * power;
}

// Calls with each multiple of `step` from `from` to `to`.
void each_tick(double from, double to, double step, const std::function<void(double)>& call) {
  const auto first = static_cast<int>(std::ceil(from / step - 1e-6));
  const auto last = static_cast<int>(std::floor(to / step + 1e-6));
  for (int i = first; i <= last; ++i) call(i * step);
}

// Lines and labels for shares, to the left of `left`.
Markup share_grid(const Axis& y, double left, double right) {
  Markup result;
  each_tick(y.from, y.to, round_step(y.to - y.from, 5), [&](double share) {
    result += line("grid", left, y(share), right, y(share));
    result += text("tick", left - 7, y(share) + 4, fmt::format("{:.0f} %", share * 100), "end");
  });
  return result;
}

// The mark of a system: each has its own shape.
Markup mark(std::size_t system, double x, double y, const std::string& hover) {
  static constexpr std::array<std::string_view, kMostCurves> kOutlines{
      "",
      "M-4-4h8v8h-8z",
      "M0-5.2L5.2 4H-5.2z",
      "M0-5.6L5.6 0 0 5.6-5.6 0z",
      "M0 5.2L5.2-4H-5.2z",
      "M-1.7-5h3.4v3.3H5v3.4H1.7V5h-3.4V1.7H-5v-3.4h3.3z"};
  const std::string kind = fmt::format("mark s{}", system + 1);
  const std::string place = fmt::format("translate({} {})", units(x), units(y));
  const Markup title = hover.empty() ? Markup{} : tag("title", {}, hover);
  if (system == 0)
    return tag("circle", {{"class", kind}, {"r", "4.2"}, {"transform", place}}, title);
  return tag("path",
             {{"class", kind}, {"d", std::string(kOutlines.at(system))}, {"transform", place}},
             title);
}

Markup whisker(const char* kind, double x, double low, double high) {
  return join(line(kind, x, low, x, high), line(kind, x - 3, low, x + 3, low),
              line(kind, x - 3, high, x + 3, high));
}

// Shares of `values` by bins of the same width over the axis.
std::vector<double> histogram(std::span<const float> values, const Axis& x, std::size_t bins) {
  std::vector<double> result(bins);
  double count = 0;
  for (const float value : values) {
    if (std::isnan(value)) continue;
    const double share = (value - x.from) / (x.to - x.from);
    const double bin =
        std::clamp(share * static_cast<double>(bins), 0.0, static_cast<double>(bins) - 1);
    result[static_cast<std::size_t>(bin)] += 1;
    count += 1;
  }
  for (double& share : result) share /= std::max(count, 1.0);
  return result;
}

// The outline of bars that stand on `floor`; `sign` says whether they grow upwards (-1).
Markup outline(const char* kind, std::span<const double> shares, const Axis& x, double floor,
               double unit, double sign) {
  std::string path = fmt::format("M{} {}", units(x.begin), units(floor));
  const double width = (x.end - x.begin) / static_cast<double>(shares.size());
  for (std::size_t i = 0; i < shares.size(); ++i) {
    path += fmt::format("V{}H{}", units(floor + sign * shares[i] * unit),
                        units(x.begin + width * static_cast<double>(i + 1)));
  }
  path += fmt::format("V{}z", units(floor));
  return tag("path", {{"class", kind}, {"d", path}});
}

}  // namespace

Markup recall_plot(std::span<const RecallCurve> curves) {
  constexpr double kLeft = 46, kRight = 388, kTop = 10, kBottom = 226;
  std::uint32_t most = 2;
  double least = 1;
  for (const RecallCurve& curve : curves) {
    most = std::max(most, curve.points.back().k);
    for (const auto& point : curve.points) least = std::min(least, point.recall);
    for (const auto& marked : curve.marked) {
      if (marked.recall.low < least) least = marked.recall.low;
    }
  }
  // Lines, unlike bars, need not stand on zero; from where they do is written at the axis.
  const Axis y{least > 0.4 ? std::min(0.8, std::floor(least * 5) / 5) : 0.0, 1, kBottom, kTop};
  const Axis log_x{0, std::log(static_cast<double>(most)), kLeft + 10, kRight - 8};
  const auto x = [&](std::uint32_t k) { return log_x(std::log(static_cast<double>(k))); };

  Markup elements = share_grid(y, kLeft, kRight);
  for (std::uint32_t power = 1; power <= most; power *= 10) {
    for (const std::uint32_t k : {power, 2 * power, 5 * power}) {
      if (k > most) break;
      elements += line("tick-mark", x(k), kBottom, x(k), kBottom + 4);
      elements += text("tick", x(k), kBottom + 18, std::to_string(k), "middle");
    }
  }
  elements += line("axis", kLeft, kBottom, kRight, kBottom);
  elements += text("tick", (kLeft + kRight) / 2, kBottom + 36, "answers looked at (K)", "middle");
  for (std::size_t i = 0; i < curves.size(); ++i) {
    std::string path;
    for (const auto& point : curves[i].points) {
      path += fmt::format("{}{} {}", path.empty() ? "M" : "L", units(x(point.k)),
                          units(y(point.recall)));
    }
    elements += tag("path", {{"class", fmt::format("curve s{}", i + 1)}, {"d", path}});
    for (const auto& marked : curves[i].marked) {
      const Estimate& e = marked.recall;
      elements += tag("g", {{"class", fmt::format("s{}", i + 1)}},
                      whisker("whisker", x(marked.k), y(e.low), y(e.high)));
      elements += mark(i, x(marked.k), y(e.mean),
                       fmt::format("{}: R@{} {} ({})", curves[i].system, marked.k, percent(e.mean),
                                   percent_interval(e)));
    }
  }
  std::string description = "Recall over the number of answers looked at.";
  for (const RecallCurve& curve : curves) {
    description += fmt::format(" {}: {} at {}, {} at {}.", util::shorten(curve.system),
                               percent(curve.points.front().recall), curve.points.front().k,
                               percent(curve.points.back().recall), curve.points.back().k);
  }
  return svg(kBottom + 44, description, elements);
}

Markup curve_legend(std::span<const std::string> names) {
  Markup result;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Markup key =
        tag("svg", {{"class", "key"}, {"viewBox", "0 0 36 14"}, {"aria-hidden", "true"}},
            tag("path", {{"class", fmt::format("curve s{}", i + 1)}, {"d", "M1 7H35"}}),
            mark(i, 18, 7, ""));
    result += tag("li", {}, key, util::shorten(names[i]));
  }
  return tag("ul", {{"class", "legend"}}, result);
}

Markup bar_plot(std::span<const BarGroup> groups, double mean, const std::string& metric) {
  constexpr double kLeft = 128, kRight = 352, kHeight = 14, kPitch = 20, kTitle = 30, kTop = 2;
  const Axis x{0, 1, kLeft, kRight};
  Markup bars;
  Markup titles;
  double y = kTop;
  std::size_t count = 0;
  for (const BarGroup& group : groups) {
    if (group.bars.empty()) continue;
    titles += text("group", 0, y + 18, group.title);
    y += kTitle;
    for (const Bar& bar : group.bars) {
      const std::string name = util::shorten(bar.name, 200);
      const std::string shown = fitted(name, kLeft - 8);
      bars += text("name", kLeft - 8, y + 11, shown, "end", shown == name ? "" : name);
      bars += rect("back", kLeft, y, kRight - kLeft, kHeight, bar.hover);
      bars += rect(group.worst ? "bar worst" : "bar", kLeft, y, x(bar.value) - kLeft, kHeight,
                   bar.hover);
      bars += text("value", kRight + 7, y + 11, percent(bar.value));
      y += kPitch;
      ++count;
    }
  }
  Markup grid;
  for (const double share : {0.0, 0.5, 1.0}) {
    grid += line("grid", x(share), kTop + kTitle - 6, x(share), y);
    grid += text("tick", x(share), y + 15, fmt::format("{:.0f} %", share * 100), "middle");
  }
  Markup over;
  if (std::isfinite(mean)) {
    over += line("middle", x(mean), kTop + kTitle - 6, x(mean), y + 22);
    over += text("tick", x(mean), y + 34, "all queries " + percent(mean), "middle");
  }
  return svg(y + 38,
             fmt::format("{} of {} as bars; the numbers are written beside them", metric,
                         count_of(count, "class", "classes")),
             join(grid, bars, over, titles));
}

Markup similarity_plot(std::span<const float> right, std::span<const float> wrong) {
  constexpr double kLeft = 8, kRight = 392, kTop = 22, kFloor = 112, kEnd = 202;
  constexpr std::size_t kBins = 48;
  float low = 2;
  float high = -2;
  std::array<bool, 2> any{};
  for (const std::size_t side : {0U, 1U}) {
    for (const float value : side == 0 ? right : wrong) {
      if (std::isnan(value)) continue;
      any.at(side) = true;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (!any[0] || !any[1]) return {};
  const double pad = std::max(0.01, (double{high} - low) * 0.02);
  const Axis x{low - pad, high + pad, kLeft, kRight};
  const std::vector<double> up = histogram(right, x, kBins);
  const std::vector<double> down = histogram(wrong, x, kBins);
  const double unit = (kFloor - kTop) / std::max(std::ranges::max(up), std::ranges::max(down));

  Markup elements;
  each_tick(x.from, x.to, round_step(x.to - x.from, 6), [&](double value) {
    elements += line("grid", x(value), kTop, x(value), kEnd);
    if (x(value) < kLeft + 12 || x(value) > kRight - 12) return;
    elements += text("tick", x(value), kEnd + 20, fmt::format("{:.3g}", value + 0.0), "middle");
  });
  elements += outline("area right", up, x, kFloor, unit, -1);
  elements += outline("area wrong", down, x, kFloor, unit, 1);
  elements += line("axis", kLeft, kFloor, kRight, kFloor);
  const double right_median = median_of(right);
  const double wrong_median = median_of(wrong);
  elements += line("middle", x(right_median), kTop, x(right_median), kFloor);
  elements += line("middle", x(wrong_median), kFloor, x(wrong_median), kEnd);
  elements +=
      text("name", kLeft, kTop - 8, "nearest right answer, median " + similarity(right_median));
  elements += text("name", kLeft, kEnd, "nearest wrong answer, median " + similarity(wrong_median));
  elements += text("tick", (kLeft + kRight) / 2, kEnd + 38, "cosine similarity", "middle");
  return svg(kEnd + 46,
             fmt::format("Histograms of cosine similarity. Nearest right answers: median {}; "
                         "nearest wrong answers: median {}.",
                         similarity(right_median), similarity(wrong_median)),
             elements);
}

std::vector<Bucket> buckets_of(std::span<const float> first, const std::vector<bool>& right,
                               std::size_t most) {
  constexpr std::size_t kLeast = 20;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (!std::isnan(first[i])) order.push_back(i);
  }
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return first[i]; });
  const std::size_t count = std::min(most, order.size() / kLeast);
  std::vector<Bucket> result;
  for (std::size_t b = 0; count >= 2 && b < count; ++b) {
    const std::size_t begin = b * order.size() / count;
    const std::size_t end = (b + 1) * order.size() / count;
    std::uint64_t right_ones = 0;
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) {
      right_ones += right[order[i]] ? 1U : 0U;
      sum += first[order[i]];
    }
    result.push_back({first[order[begin]], first[order[end - 1]],
                      sum / static_cast<double>(end - begin), share_of(right_ones, end - begin)});
  }
  return result;
}

Markup calibration_plot(std::span<const Bucket> buckets) {
  constexpr double kLeft = 46, kRight = 388, kTop = 10, kBottom = 196;
  const double low = buckets.front().mean;
  const double high = buckets.back().mean;
  const double pad = std::max(0.005, (high - low) * 0.06);
  const Axis x{low - pad, high + pad, kLeft, kRight};
  const Axis y{0, 1, kBottom, kTop};
  Markup elements = share_grid(y, kLeft, kRight);
  each_tick(x.from, x.to, round_step(x.to - x.from, 6), [&](double value) {
    elements += line("tick-mark", x(value), kBottom, x(value), kBottom + 4);
    elements += text("tick", x(value), kBottom + 18, fmt::format("{:.3g}", value + 0.0), "middle");
  });
  elements += line("axis", kLeft, kBottom, kRight, kBottom);
  elements += text("tick", (kLeft + kRight) / 2, kBottom + 36,
                   "cosine similarity of the first answer", "middle");
  std::string path;
  Markup marks;
  for (const Bucket& bucket : buckets) {
    const Estimate& e = bucket.right;
    path +=
        fmt::format("{}{} {}", path.empty() ? "M" : "L", units(x(bucket.mean)), units(y(e.mean)));
    marks += whisker("whisker", x(bucket.mean), y(e.low), y(e.high));
    marks += mark(
        0, x(bucket.mean), y(e.mean),
        fmt::format("{} to {}: {} of {} right", similarity(bucket.low), similarity(bucket.high),
                    percent(e.mean), count_of(e.count, "answer", "answers")));
  }
  elements += tag("path", {{"class", "curve s1"}, {"d", path}});
  elements += tag("g", {{"class", "s1"}}, marks);
  return svg(kBottom + 44,
             fmt::format("Share of first answers that are right, by their similarity: {} of the "
                         "least similar, {} of the most similar.",
                         percent(buckets.front().right.mean), percent(buckets.back().right.mean)),
             elements);
}

Markup epoch_plot(std::span<const EpochCurve> curves, std::uint32_t best, bool shares) {
  constexpr double kLeft = 46, kRight = 388, kTop = 22, kBottom = 196;
  std::uint32_t last = 1;
  std::size_t most = 0;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const EpochCurve& curve : curves) {
    std::size_t measured = 0;
    for (std::size_t i = 0; i < curve.values.size(); ++i) {
      if (!std::isfinite(curve.values[i])) continue;
      last = std::max(last, curve.epochs[i]);
      low = std::min(low, curve.values[i]);
      high = std::max(high, curve.values[i]);
      ++measured;
    }
    most = std::max(most, measured);
  }
  if (most < 2) return {};
  const double pad = std::max(0.08 * (high - low), shares ? 0.01 : 0.02 * std::abs(high) + 1e-6);
  const Axis y{std::max(low - pad, 0.0), shares ? std::min(high + pad, 1.0) : high + pad, kBottom,
               kTop};
  const Axis x{0, static_cast<double>(last), kLeft + 10, kRight - 10};

  Markup elements;
  each_tick(y.from, y.to, round_step(y.to - y.from, 4), [&](double value) {
    elements += line("grid", kLeft, y(value), kRight, y(value));
    const std::string written =
        shares ? fmt::format("{:.3g} %", value * 100) : fmt::format("{:.3g}", value);
    elements += text("tick", kLeft - 7, y(value) + 4, written, "end");
  });
  each_tick(0, last, std::max(1.0, round_step(last, 6)), [&](double epoch) {
    elements += line("tick-mark", x(epoch), kBottom, x(epoch), kBottom + 4);
    elements += text("tick", x(epoch), kBottom + 18, fmt::format("{:.0f}", epoch), "middle");
  });
  elements += line("axis", kLeft, kBottom, kRight, kBottom);
  elements += text("tick", (kLeft + kRight) / 2, kBottom + 36, "epoch; 0 is the start", "middle");
  elements += line("middle", x(best), kTop - 6, x(best), kBottom);
  elements += text("tick", x(best), kTop - 10, fmt::format("written: {}", best),
                   2 * best > last ? "end" : "start");
  std::string description = "After each epoch.";
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const EpochCurve& curve = curves[c];
    std::string path;
    std::string first;
    std::string final;
    for (std::size_t i = 0; i < curve.values.size(); ++i) {
      if (!std::isfinite(curve.values[i])) continue;
      path += fmt::format("{}{} {}", path.empty() ? "M" : "L", units(x(curve.epochs[i])),
                          units(y(curve.values[i])));
      final = shares ? percent(curve.values[i]) : fmt::format("{:.3g}", curve.values[i]);
      if (first.empty()) first = final;
      if (curve.epochs[i] != best) continue;
      elements += mark(c, x(curve.epochs[i]), y(curve.values[i]),
                       fmt::format("{}, epoch {}: {}", curve.name, best, final));
    }
    elements += tag("path", {{"class", fmt::format("curve s{}", c + 1)}, {"d", path}});
    description += fmt::format(" {}: from {} to {}.", curve.name, first, final);
  }
  return svg(kBottom + 44, description, elements);
}

}  // namespace vsearch::report

// The section of one data set and protocol: numbers, plots, groups, pictures.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "eval/report_numbers.h"
#include "eval/report_parts.h"
#include "eval/report_plots.h"
#include "eval/report_sections.h"

namespace vsearch::report {
namespace {

constexpr std::size_t kWorstClasses = 15;
constexpr std::size_t kBestClasses = 5;

Markup metrics_of_one(const Measured& measured) {
  const ProtocolResult& result = *measured.result;
  Table rows{"Metrics, with 95 % intervals",
             {text_cell("metric"), text_cell("mean"), text_cell("95 % interval")},
             {}};
  for (const std::string& metric : result.metrics) {
    const Estimate* const estimate = find_estimate(result, metric);
    if (estimate == nullptr) continue;
    rows.rows.push_back({text_cell(metric), text_cell(percent(estimate->mean)),
                         text_cell(percent_interval(*estimate))});
  }
  return table(rows);
}

Markup metrics_of_several(const Trial& trial) {
  Table rows{"Metrics, with 95 % intervals (bootstrap over queries); the best is bold",
             {text_cell("metric")},
             {}};
  std::vector<std::string> metrics;
  for (const Measured& measured : trial.systems) {
    rows.head.push_back(text_cell(measured.system));
    for (const std::string& metric : measured.result->metrics) {
      if (std::ranges::find(metrics, metric) == metrics.end()) metrics.push_back(metric);
    }
  }
  for (const std::string& metric : metrics) {
    double best = -1;
    for (const Measured& measured : trial.systems) {
      const Estimate* const estimate = find_estimate(*measured.result, metric);
      if (estimate != nullptr && estimate->mean > best) best = estimate->mean;
    }
    std::vector<Markup> cells{text_cell(metric)};
    for (const Measured& measured : trial.systems) {
      const Estimate* const estimate = find_estimate(*measured.result, metric);
      cells.push_back(estimate == nullptr ? text_cell("–")
                                          : percent_cell(*estimate, estimate->mean == best));
    }
    rows.rows.push_back(std::move(cells));
  }
  return table(rows);
}

// From the rank of the first right answer of every query where it is known; else through what was
// measured.
RecallCurve recall_curve(const Measured& measured) {
  constexpr std::uint32_t kMost = 100;
  const ProtocolResult& result = *measured.result;
  RecallCurve curve{measured.system, {}, {}};
  std::uint32_t most = 1;
  for (const std::string& metric : result.metrics) {
    const Estimate* const estimate = find_estimate(result, metric);
    const std::uint32_t k = recall_k(metric);
    if (k == 0 || estimate == nullptr || !std::isfinite(estimate->mean)) continue;
    curve.marked.push_back({k, *estimate});
    most = std::max(most, k);
  }
  std::ranges::sort(curve.marked, {}, &RecallCurve::Marked::k);
  most = std::max(most, static_cast<std::uint32_t>(std::min<std::uint64_t>(kMost, result.gallery)));
  std::vector<std::uint64_t> at(most + 1);
  std::uint64_t queries = 0;
  const std::vector<std::uint32_t>& ranks = result.scores.first_right;
  for (std::size_t i = 0; i < std::min(ranks.size(), result.scores.right_answers.size()); ++i) {
    if (result.scores.right_answers[i] == 0) continue;
    ++queries;
    if (ranks[i] > 0 && ranks[i] <= most) ++at[ranks[i]];
  }
  if (queries == 0) {
    for (const auto& marked : curve.marked) curve.points.push_back({marked.k, marked.recall.mean});
    return curve;
  }
  std::uint64_t found = 0;
  for (std::uint32_t k = 1; k <= most; ++k) {
    found += at[k];
    curve.points.push_back({k, static_cast<double>(found) / static_cast<double>(queries)});
  }
  return curve;
}

Markup recall_figure(const Trial& trial) {
  std::vector<RecallCurve> curves;
  for (const Measured& measured : trial.systems) {
    if (curves.size() == kMostCurves) break;
    RecallCurve curve = recall_curve(measured);
    if (!curve.points.empty()) curves.push_back(std::move(curve));
  }
  if (curves.empty()) return {};
  std::string text =
      "How many queries have a right answer among the first K. Bars at the marks are 95 % "
      "intervals.";
  if (trial.systems.size() > kMostCurves) {
    text += fmt::format(" Shown are the first {} systems.", kMostCurves);
  }
  std::vector<std::string> names;
  names.reserve(curves.size());
  for (const RecallCurve& curve : curves) names.push_back(curve.system);
  return figure("Recall", text,
                join(recall_plot(curves), names.size() > 1 ? curve_legend(names) : Markup{}));
}

Markup class_figure(const ProtocolResult& result) {
  const ClassScores scores = class_scores(result);
  const std::string metric = main_metric(result);
  const std::size_t count = scores.ascending.size();
  if (count < 2) return {};
  const bool all = count <= kWorstClasses + kBestClasses;
  const std::size_t low = all ? count : kWorstClasses;
  const auto bars = [&](std::size_t begin, std::size_t end) {
    std::vector<Bar> some;
    for (std::size_t i = begin; i < end; ++i) {
      const GroupScores& group = *scores.ascending[i];
      const double mean = group_mean(result, group, metric);
      some.push_back({group.group, mean,
                      fmt::format("{}: {} {}, {}", short_name(group.group), metric, percent(mean),
                                  count_of(group.queries, "query", "queries"))});
    }
    return some;
  };
  const std::size_t tenth = std::min(scores.worst_tenth, low);
  const std::string of_tenth =
      fmt::format("the worst tenth, {}: mean {}", count_of(scores.worst_tenth, "class", "classes"),
                  percent(scores.worst_mean));
  std::vector<BarGroup> groups{
      {tenth < scores.worst_tenth ? fmt::format("the first {} of {}", tenth, of_tenth) : of_tenth,
       bars(0, tenth), true},
      {all ? "all others" : "those that follow", bars(tenth, low), false}};
  if (!all) {
    const std::size_t between = count - kWorstClasses - kBestClasses;
    groups.push_back(
        {fmt::format("the best {}; {} between are not shown", kBestClasses, with_commas(between)),
         bars(count - kBestClasses, count), false});
  }
  const Estimate* const mean = find_estimate(result, metric);
  return figure(fmt::format("{} by class", metric),
                fmt::format("A high mean can hide classes that are hardly ever found. Of {} "
                            "classes the worst come first.",
                            with_commas(count)),
                bar_plot(groups, mean == nullptr ? NAN : mean->mean, metric));
}

// Whether nearly every query is its own nearest answer, and a right one: then similarities say
// nothing.
bool finds_itself(const RetrievalScores& scores) {
  constexpr float kSame = 0.9999F;
  const auto same = std::ranges::count_if(scores.nearest_right, [](float s) { return s > kSame; });
  return !scores.nearest_right.empty() &&
         static_cast<double>(same) > 0.9 * static_cast<double>(scores.nearest_right.size());
}

Markup similarity_figures(const RetrievalScores& scores) {
  if (finds_itself(scores)) {
    return remark(
        "How similar right and wrong answers are is not shown: nearly every query finds "
        "itself first.");
  }
  const std::size_t count = std::min(scores.nearest_right.size(), scores.nearest_wrong.size());
  std::vector<float> first;
  std::vector<bool> right;
  std::uint64_t nearer = 0;
  std::uint64_t both = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const float good = scores.nearest_right[i];
    const float bad = scores.nearest_wrong[i];
    if (std::isnan(good)) continue;  // nothing to be found
    first.push_back(std::isnan(bad) ? good : std::max(good, bad));
    right.push_back(std::isnan(bad) || good >= bad);
    if (std::isnan(bad)) continue;
    ++both;
    nearer += good >= bad ? 1U : 0U;
  }
  Markup result;
  const Markup histogram = similarity_plot(scores.nearest_right, scores.nearest_wrong);
  if (!histogram.empty()) {
    result += figure(
        "Similarity of right and wrong",
        fmt::format("For each query the nearest right answer, upwards, and the nearest wrong one, "
                    "downwards. The right one is nearer for {}. The less the two overlap, the "
                    "better a threshold works.",
                    percent(share_of(nearer, both).mean)),
        histogram);
  }
  const std::vector<Bucket> buckets = buckets_of(first, right);
  if (!buckets.empty()) {
    result += figure(
        "Can the similarity be trusted?",
        fmt::format("First answers in {} groups of as many queries each, by similarity. Of the "
                    "least similar {} are right, of the most similar {}. Bars are 95 % intervals.",
                    buckets.size(), percent(buckets.front().right.mean),
                    percent(buckets.back().right.mean)),
        calibration_plot(buckets));
  }
  return result;
}

Markup domain_shift(const ProtocolResult& result) {
  if (!result.across_domains) return {};
  Table rows{"Queries whose right answers are all of other domains",
             {text_cell("metric"), text_cell("all queries"), text_cell("across domains"),
              text_cell("difference, points")},
             {}};
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < result.metrics.size(); ++i) {
    const Estimate* const all = find_estimate(result, result.metrics[i]);
    if (all == nullptr || i >= result.across_domains->size()) continue;
    const Estimate& across = (*result.across_domains)[i];
    count = std::max(count, across.count);
    rows.rows.push_back({text_cell(result.metrics[i]), percent_cell(*all), percent_cell(across),
                         text_cell(percent_points(across.mean - all->mean))});
  }
  return join(tag("h3", {}, "Distribution shift"),
              paragraph(fmt::format("What {} find where the gallery shows what they look for only "
                                    "in other domains. A system that was tuned should gain here "
                                    "too.",
                                    count_of(count, "query", "queries"))),
              table(rows));
}

Markup groups_table(const ProtocolResult& result, const std::string& field,
                    const std::vector<GroupScores>& groups) {
  static constexpr std::array<std::string_view, 5> kShown{"R@1", "R@5", "R@10", "P@5", "mAP"};
  Table rows{fmt::format("By {}", short_name(field)), {text_cell(field), text_cell("queries")}, {}};
  std::vector<std::string> metrics;
  for (const std::string& metric : result.metrics) {
    if (std::ranges::find(kShown, metric) != kShown.end()) metrics.push_back(metric);
  }
  if (metrics.empty()) metrics = {main_metric(result)};
  for (const std::string& metric : metrics) rows.head.push_back(text_cell(metric));
  for (const GroupScores& group : groups) {
    std::vector<Markup> cells{text_cell(group.group), text_cell(with_commas(group.queries))};
    for (const std::string& metric : metrics) {
      cells.push_back(text_cell(percent(group_mean(result, group, metric))));
    }
    rows.rows.push_back(std::move(cells));
  }
  return table(rows);
}

Markup groups(const ProtocolResult& result) {
  Markup content;
  for (const auto& [field, groups] : result.by_field) {
    if (!groups.empty()) content += groups_table(result, field, groups);
  }
  return content.empty() ? content : join(tag("h3", {}, "By group"), content);
}

}  // namespace

Markup trial_section(const Trial& trial, const std::string& id, const Dataset* dataset,
                     const ReportOptions& options) {
  const Measured& best = trial.best();
  const ProtocolResult& result = *best.result;
  std::string text =
      fmt::format("{} looked for among {}.", count_of(result.queries, "query", "queries"),
                  count_of(result.gallery, "picture", "pictures"));
  if (result.without_answer > 0) {
    text += fmt::format(" {} without an answer in the gallery {} left out.",
                        count_of(result.without_answer, "query", "queries"),
                        result.without_answer == 1 ? "is" : "are");
  }
  Markup content = paragraph(text);
  const bool several = trial.systems.size() > 1;
  if (several) {
    content += metrics_of_several(trial);
    content +=
        paragraph(fmt::format("What follows, but for the recall curves, is of {}, the best "
                              "of them by {}.",
                              short_name(best.system), main_metric(result)));
  }
  content += tag("div", {{"class", "charts"}}, several ? Markup{} : metrics_of_one(best),
                 recall_figure(trial), similarity_figures(result.scores), class_figure(result));
  content += join(domain_shift(result), groups(result), galleries(best, dataset, options));
  return section(id, trial.name, content);
}

}  // namespace vsearch::report

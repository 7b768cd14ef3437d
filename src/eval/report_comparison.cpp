// The section in which all systems and protocols stand in one table a metric.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "eval/report_numbers.h"
#include "eval/report_parts.h"
#include "eval/report_sections.h"

namespace vsearch::report {
namespace {

const Estimate* estimate_of(const Trial& trial, const std::string& system,
                            const std::string& metric) {
  const auto found = std::ranges::find(trial.systems, system, &Measured::system);
  return found == trial.systems.end() ? nullptr : find_estimate(*found->result, metric);
}

// One row a system: its numbers by trial, and their mean where none is missing.
struct Row {
  std::string system;
  std::vector<const Estimate*> estimates;
  std::optional<double> average{};
};

std::vector<Row> rows_of(const std::vector<Trial>& trials, const std::string& metric) {
  std::vector<Row> rows;
  for (const Trial& trial : trials) {
    for (const Measured& measured : trial.systems) {
      if (std::ranges::find(rows, measured.system, &Row::system) == rows.end()) {
        rows.push_back({measured.system, {}});
      }
    }
  }
  for (Row& row : rows) {
    double sum = 0;
    for (const Trial& trial : trials) {
      row.estimates.push_back(estimate_of(trial, row.system, metric));
      sum += row.estimates.back() == nullptr ? NAN : row.estimates.back()->mean;
    }
    if (!std::isnan(sum)) row.average = sum / static_cast<double>(trials.size());
  }
  return rows;
}

Markup comparison_table(const std::vector<Trial>& trials, const std::string& metric) {
  const std::vector<Row> rows = rows_of(trials, metric);
  const bool averages = trials.size() > 1;
  Table result{
      rows.size() > 1 ? fmt::format("{}; the best of each column is bold", metric) : metric,
      {text_cell("system")},
      {}};
  std::vector<double> best;
  for (std::size_t column = 0; column < trials.size(); ++column) {
    result.head.push_back(text_cell(trials[column].name));
    best.push_back(-1);
    for (const Row& row : rows) {
      if (row.estimates[column] == nullptr) continue;
      if (row.estimates[column]->mean > best.back()) best.back() = row.estimates[column]->mean;
    }
  }
  double best_average = -1;
  for (const Row& row : rows) best_average = std::max(best_average, row.average.value_or(-1));
  if (averages) result.head.push_back(text_cell("average"));
  const bool marked = rows.size() > 1;
  for (const Row& row : rows) {
    std::vector<Markup> cells{text_cell(row.system)};
    for (std::size_t column = 0; column < trials.size(); ++column) {
      const Estimate* const estimate = row.estimates[column];
      cells.push_back(estimate == nullptr
                          ? text_cell("–")
                          : percent_cell(*estimate, marked && estimate->mean == best[column]));
    }
    if (averages) {
      const std::string average = percent(row.average.value_or(NAN));
      cells.push_back(marked && row.average == best_average ? tag("strong", {}, average)
                                                            : text_cell(average));
    }
    result.rows.push_back(std::move(cells));
  }
  result.most_rows = 200;
  return table(result);
}

// What was measured of each query; empty if that was not kept.
std::vector<float> values_of(const ProtocolResult& result, const std::string& metric) {
  const RetrievalScores& scores = result.scores;
  const auto found = std::ranges::find(scores.names, metric);
  std::vector<float> values;
  if (found == scores.names.end()) return values;
  const auto column = static_cast<std::size_t>(found - scores.names.begin());
  for (std::size_t query = 0; query < scores.values.rows; ++query) {
    values.push_back(scores.values.row(query)[column]);
  }
  return values;
}

Markup with_note(std::string_view text, std::string_view note) {
  return join(short_name(text), tag("span", {{"class", "note"}}, short_name(note)));
}

// Each system against the first one, wherever both answered the same queries; empty if nowhere.
Markup pairs_table(const std::vector<Trial>& trials, const std::string& metric) {
  const std::string& first = trials.front().systems.front().system;
  Table result{fmt::format("{} against {}, on the same queries", metric, first),
               {text_cell("system"), text_cell("gain, points"), text_cell("p"),
                text_cell("queries better"), text_cell("worse")},
               {}};
  for (const Trial& trial : trials) {
    const auto base = std::ranges::find(trial.systems, first, &Measured::system);
    if (base == trial.systems.end()) continue;
    const std::vector<float> before = values_of(*base->result, metric);
    for (const Measured& measured : trial.systems) {
      // Where other pictures could not be read, other queries were asked.
      if (&measured == &*base || measured.result->pictures != base->result->pictures) continue;
      const std::vector<float> after = values_of(*measured.result, metric);
      if (before.empty() || after.size() != before.size()) continue;
      const PairedComparison pair = compare_paired(before, after);
      if (pair.difference.count == 0) continue;
      result.rows.push_back(
          {trials.size() == 1 ? text_cell(measured.system) : with_note(measured.system, trial.name),
           with_note(percent_points(pair.difference.mean),
                     percent_points_interval(pair.difference)),
           text_cell(p_value(pair.p_value)), text_cell(with_commas(pair.better)),
           text_cell(with_commas(pair.worse))});
    }
  }
  if (result.rows.empty()) return {};
  result.most_rows = 200;
  return join(
      table(result),
      remark(
          "The gain is the mean difference, with its 95 % interval. "
          "p is how often chance alone would make as large a difference between two systems that "
          "are equally good (a permutation test with sign flips, over the queries): below 0.05 it "
          "hardly was chance. Of twenty rows without a true difference about one falls below that "
          "all the same; and a larger p does not show that two systems are alike, only that these "
          "queries are too few to tell them apart."));
}

bool measured_somewhere(const std::vector<Trial>& trials, const std::string& metric) {
  return std::ranges::any_of(trials, [&](const Trial& trial) {
    return std::ranges::any_of(trial.systems, [&](const Measured& measured) {
      return find_estimate(*measured.result, metric) != nullptr;
    });
  });
}

}  // namespace

Markup comparison_section(const std::vector<Trial>& trials) {
  const bool one_system =
      std::ranges::all_of(trials, [](const Trial& trial) { return trial.systems.size() == 1; });
  if (trials.size() < 2 && one_system) return {};
  Markup content = paragraph(
      "Each number with its 95 % interval. An average is over the columns, and only there for "
      "systems that were measured in all of them.");
  const std::string main = main_metric(*trials.front().systems.front().result);
  content += comparison_table(trials, main);
  if (main != "R@1" && measured_somewhere(trials, "R@1")) {
    content += comparison_table(trials, "R@1");
  }
  content += pairs_table(trials, main);
  return section("comparison", "Side by side", content);
}

}  // namespace vsearch::report

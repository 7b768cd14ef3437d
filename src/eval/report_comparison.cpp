// The section in which all systems and protocols stand in one table a metric.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

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
  return section("comparison", "Side by side", content);
}

}  // namespace vsearch::report

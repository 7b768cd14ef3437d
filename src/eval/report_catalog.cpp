// What a live catalogue finds for queries whose answers are known.
#include <fmt/format.h>

#include <algorithm>

#include "eval/report_numbers.h"
#include "eval/report_parts.h"
#include "eval/report_sections.h"

namespace vsearch::report {
namespace {

constexpr std::size_t kShown = 20;  // misses, failures
constexpr std::size_t kKeys = 5;    // of a miss

Markup metrics_table(const CatalogEvaluation& catalog) {
  Table rows{"Metrics, with 95 % intervals (bootstrap over queries)",
             {text_cell("metric"), text_cell("through the index"), text_cell("exact"),
              text_cell("the index changes, points")},
             {}};
  for (std::size_t i = 0; i < std::min(catalog.metrics.size(), catalog.estimates.size()); ++i) {
    const Estimate& found = catalog.estimates[i];
    std::vector<Markup> cells{text_cell(catalog.metrics[i]), percent_cell(found)};
    if (i < catalog.exact_estimates.size()) {
      const Estimate& exact = catalog.exact_estimates[i];
      cells.push_back(percent_cell(exact));
      cells.push_back(text_cell(percent_points(found.mean - exact.mean)));
    } else {
      cells.insert(cells.end(), 2, text_cell("–"));
    }
    rows.rows.push_back(std::move(cells));
  }
  return table(rows);
}

Markup keys(const std::vector<std::string>& keys) {
  Markup result;
  for (std::size_t i = 0; i < std::min(keys.size(), kKeys); ++i) {
    result += tag("span", {{"class", "key-name"}}, short_name(keys[i]));
  }
  if (keys.size() > kKeys) {
    result += tag("span", {{"class", "note"}},
                  fmt::format("and {} more", with_commas(keys.size() - kKeys)));
  }
  return result;
}

Markup misses(const CatalogEvaluation& catalog) {
  if (catalog.worst.empty()) return {};
  Table rows{"Queries whose first right answer stands furthest behind",
             {text_cell("query"), text_cell("rank of the first right answer"), text_cell("found"),
              text_cell("wanted")},
             {},
             "text",
             kShown};
  for (const CatalogEvaluation::Missed& missed : catalog.worst) {
    rows.rows.push_back(
        {text_cell(missed.query),
         text_cell(missed.first_right == 0 ? "not found" : with_commas(missed.first_right)),
         keys(missed.found), keys(missed.wanted)});
  }
  return join(tag("h3", {}, "Worst misses"), table(rows));
}

Markup failures(const CatalogEvaluation& catalog) {
  if (catalog.failed.empty()) return {};
  Table rows{"Queries that could not be asked, and are left out",
             {text_cell("query"), text_cell("why")},
             {},
             "text",
             kShown};
  for (const CatalogEvaluation::Failed& failed : catalog.failed) {
    rows.rows.push_back({text_cell(failed.query), join(failed.message)});
  }
  return join(tag("h3", {}, "Not asked"), table(rows));
}

}  // namespace

Markup catalog_section(const CatalogEvaluation& catalog) {
  return section(
      "catalog", "The live catalogue",
      join(paragraph(fmt::format(
               "{} with known answers, asked of {} as customers ask: through the index, whole "
               "items ranked. Beside it stand the same queries compared with every picture: the "
               "difference is what the index loses.",
               count_of(catalog.queries, "query", "queries"),
               count_of(catalog.items, "item", "items"))),
           metrics_table(catalog), misses(catalog), failures(catalog)));
}

}  // namespace vsearch::report

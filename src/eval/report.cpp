// html_report(): the page, and what stands at its head.
#include "vsearch/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <new>
#include <set>

#include "eval/report_numbers.h"
#include "eval/report_parts.h"
#include "eval/report_sections.h"
#include "eval/report_style.h"
#include "vsearch/error.h"
#include "vsearch/trainer.h"
#include "vsearch/version.h"

namespace vsearch {
namespace report {
namespace {

std::size_t different_systems(std::span<const Evaluation> evaluations) {
  const std::vector<std::string> names = system_names(evaluations);
  return std::set(names.begin(), names.end()).size();
}

std::size_t different_datasets(std::span<const Evaluation> evaluations) {
  std::set<std::string> names;
  for (const Evaluation& evaluation : evaluations) names.insert(evaluation.dataset);
  return names.size();
}

// What the first trial says in words.
std::string lead_of_one(const Trial& trial) {
  const Measured& best = trial.best();
  const ProtocolResult& result = *best.result;
  std::string text =
      fmt::format("{} looked for among {}.", count_of(result.queries, "query was", "queries were"),
                  count_of(result.gallery, "picture", "pictures"));
  const Estimate* const first = find_estimate(result, "R@1");
  if (first == nullptr) return text;
  text += fmt::format(" The first answer is right for {}", percent(first->mean));
  for (const char* const metric : {"R@5", "R@10", "R@20"}) {
    const Estimate* const some = find_estimate(result, metric);
    if (some == nullptr) continue;
    return text + fmt::format("; one of the first {} for {}.", metric + 2, percent(some->mean));
  }
  return text + ".";
}

std::string lead_of(const ReportInput& input, const std::vector<Trial>& trials) {
  if (trials.size() == 1 && trials.front().systems.size() == 1) return lead_of_one(trials.front());
  if (!trials.empty()) {
    return fmt::format("{} measured on {}, by {}.",
                       count_of(different_systems(input.evaluations), "system", "systems"),
                       count_of(different_datasets(input.evaluations), "data set", "data sets"),
                       count_of(trials.size(), "protocol", "protocols"));
  }
  if (input.catalog != nullptr) {
    return fmt::format("{} with known answers, asked of {}.",
                       count_of(input.catalog->queries, "query", "queries"),
                       count_of(input.catalog->items, "item", "items"));
  }
  if (input.training != nullptr) {
    return fmt::format("{} of {} were learned from.",
                       count_of(input.training->data.pictures, "picture", "pictures"),
                       count_of(input.training->data.classes, "class", "classes"));
  }
  if (input.audit == nullptr) return "Nothing was measured by any protocol.";
  return fmt::format("{} of what visual search is known to get wrong.",
                     count_of(input.audit->findings.size(), "finding", "findings"));
}

void add_tile(std::vector<Tile>& tiles, const std::string& name, const Estimate* estimate,
              const std::string& note = {}) {
  if (estimate == nullptr) return;
  tiles.push_back({name, percent(estimate->mean),
                   fmt::format("{}95 %: {}", note, percent_interval(*estimate))});
}

std::vector<Tile> tiles_of_one(const ProtocolResult& result) {
  std::vector<Tile> tiles;
  for (const char* const metric : {"R@1", "R@5", "mAP"}) {
    add_tile(tiles, metric, find_estimate(result, metric));
  }
  const ClassScores classes = class_scores(result);
  if (classes.ascending.size() >= 10) {
    tiles.push_back({fmt::format("{}, worst tenth of classes", main_metric(result)),
                     percent(classes.worst_mean),
                     fmt::format("{} of {}", with_commas(classes.worst_tenth),
                                 count_of(classes.ascending.size(), "class", "classes"))});
  }
  return tiles;
}

std::vector<Tile> tiles_of(const ReportInput& input, const std::vector<Trial>& trials) {
  constexpr std::size_t kMost = 4;
  if (trials.size() == 1 && trials.front().systems.size() == 1) {
    return tiles_of_one(*trials.front().systems.front().result);
  }
  std::vector<Tile> tiles;
  for (const Trial& trial : trials) {
    if (tiles.size() == kMost) break;
    const Measured& best = trial.best();
    const std::string metric = main_metric(*best.result);
    const std::string by = trial.systems.size() > 1 ? fmt::format("best: {}; ", best.system) : "";
    add_tile(tiles, fmt::format("{}, {}", metric, trial.name), find_estimate(*best.result, metric),
             by);
  }
  if (input.catalog == nullptr) return tiles;
  const CatalogEvaluation& catalog = *input.catalog;
  for (std::size_t i = 0; i < std::min(catalog.metrics.size(), catalog.estimates.size()); ++i) {
    if (tiles.size() >= kMost) break;
    add_tile(tiles, fmt::format("{}, catalogue", catalog.metrics[i]), &catalog.estimates[i]);
  }
  return tiles;
}

Markup facts_line(const ReportInput& input) {
  std::vector<std::string> facts;
  const auto add = [&](const std::string& fact) {
    if (!fact.empty() && std::ranges::find(facts, fact) == facts.end()) facts.push_back(fact);
  };
  const auto encoder = [&](const std::string& name) { add("encoder " + short_name(name)); };
  for (const Evaluation& evaluation : input.evaluations) {
    encoder(evaluation.encoder_name);
    add(short_name(evaluation.dataset));
  }
  if (input.audit != nullptr) encoder(input.audit->encoder_name);
  if (input.catalog != nullptr) encoder(input.catalog->encoder_name);
  add("libvsearch " VSEARCH_VERSION);
  Markup line;
  for (const std::string& fact : facts) line += tag("span", {}, fact);
  return tag("p", {{"class", "facts"}}, line);
}

Markup verdicts(const Audit& audit) {
  Markup items;
  for (std::size_t i = 0; i < audit.findings.size(); ++i) {
    const AuditFinding& finding = audit.findings[i];
    items += tag("li", {},
                 tag("a", {{"href", fmt::format("#{}", finding_id(i))}}, short_name(finding.title),
                     badge(finding.verdict)));
  }
  return tag("ul", {{"class", "verdicts"}, {"aria-label", "verdicts of the audit"}}, items);
}

struct Part {
  std::string id;
  std::string name;
  Markup content;
};

Markup contents(const std::vector<Part>& parts) {
  Markup links;
  for (const Part& part : parts) {
    links += tag("li", {}, tag("a", {{"href", "#" + part.id}}, part.name));
  }
  return tag("nav", {{"aria-label", "contents"}}, tag("ul", {}, links));
}

std::vector<Part> parts_of(const ReportInput& input, const ReportOptions& options,
                           const std::vector<Trial>& trials) {
  std::vector<Part> parts;
  Markup comparison = comparison_section(trials);
  if (!comparison.empty()) parts.push_back({"comparison", "Side by side", std::move(comparison)});
  for (std::size_t i = 0; i < trials.size(); ++i) {
    const std::string id = fmt::format("trial-{}", i + 1);
    const bool known = input.dataset != nullptr &&
                       input.dataset->name == trials[i].systems.front().evaluation->dataset;
    parts.push_back({id, trials[i].name,
                     trial_section(trials[i], id, known ? input.dataset : nullptr, options)});
  }
  if (input.training != nullptr) {
    parts.push_back({"training", "What was learned",
                     training_section(*input.training, input.learned, options)});
  }
  if (input.audit != nullptr) {
    parts.push_back({"audit", "Audit", audit_section(*input.audit, options)});
  }
  if (input.catalog != nullptr) {
    parts.push_back({"catalog", "The live catalogue", catalog_section(*input.catalog)});
  }
  parts.push_back({"provenance", "How this was made", provenance_section(input, options)});
  return parts;
}

std::string page(const ReportInput& input, const ReportOptions& options) {
  const std::vector<Trial> trials = trials_of(input.evaluations);
  const std::string title = report_title(input, options);
  const std::vector<Part> parts = parts_of(input, options, trials);
  Markup sections;
  for (const Part& part : parts) sections += part.content;
  const Markup head =
      tag("head", {}, tag("meta", {{"charset", "utf-8"}}),
          tag("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}}),
          tag("title", {}, title), tag("style", {}, Markup{std::string(kStyle)}));
  const Markup main =
      tag("main", {}, report_header(input, trials, title), contents(parts), sections);
  return "<!doctype html>\n" + tag("html", {{"lang", "en-GB"}}, head, tag("body", {}, main)).html +
         "\n";
}

}  // namespace

std::string report_title(const ReportInput& input, const ReportOptions& options) {
  if (!options.title.empty()) return short_name(options.title);
  if (!input.evaluations.empty()) {
    const std::size_t systems = different_systems(input.evaluations);
    const std::string dataset =
        different_datasets(input.evaluations) == 1
            ? short_name(input.evaluations.front().dataset)
            : count_of(different_datasets(input.evaluations), "", "data sets");
    return systems == 1 ? fmt::format("{} on {}", system_names(input.evaluations).front(), dataset)
                        : fmt::format("{} systems on {}", systems, dataset);
  }
  if (input.audit != nullptr) {
    return fmt::format("Audit of {} on {}", short_name(input.audit->encoder_name),
                       short_name(input.audit->dataset));
  }
  if (input.catalog != nullptr) {
    return fmt::format("What {} finds", short_name(input.catalog->catalog));
  }
  return fmt::format("How {} was tuned",
                     short_name(input.training->package.stem().stem().string()));
}

Markup report_header(const ReportInput& input, const std::vector<Trial>& trials,
                     const std::string& title) {
  const std::vector<Tile> numbers = tiles_of(input, trials);
  return tag("header", {}, tag("p", {{"class", "brand"}}, "libvsearch"), tag("h1", {}, title),
             tag("p", {{"class", "lead"}}, lead_of(input, trials)), facts_line(input),
             numbers.empty() ? Markup{} : tiles(numbers),
             input.audit == nullptr ? Markup{} : verdicts(*input.audit));
}

}  // namespace report

std::string html_report(const ReportInput& input, const ReportOptions& options) {
  if (input.evaluations.empty() && input.audit == nullptr && input.catalog == nullptr &&
      input.training == nullptr) {
    throw Error(ErrorCode::kInvalidArgument,
                "there is nothing to report; give evaluations, an audit, the evaluation of a "
                "catalogue or what training did");
  }
  try {
    return report::page(input, options);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory,
                "there is no memory for the report; show fewer pictures: lower "
                "ReportOptions::galleries or pictures_px");
  }
}

void write_report(const std::filesystem::path& file, const ReportInput& input,
                  const ReportOptions& options) {
  const std::string page = html_report(input, options);
  std::ofstream out(file, std::ios::binary);
  out.write(page.data(), static_cast<std::streamsize>(page.size()));
  if (!out.flush()) {
    throw Error(ErrorCode::kIo, fmt::format("cannot write the report {}; check the path, the "
                                            "permissions and the space on the disk",
                                            file.string()));
  }
}

}  // namespace vsearch

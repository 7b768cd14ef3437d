// How the numbers of the report were made, so that they can be made again, and what they mean.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report_numbers.h"
#include "eval/report_parts.h"
#include "eval/report_sections.h"
#include "vsearch/version.h"

namespace vsearch::report {
namespace {

constexpr std::size_t kMostSkipped = 20;

Markup code(const std::string& text) {
  return text.empty() ? join("–") : tag("code", {}, text);
}

struct Facts {
  Markup rows{};

  void add(std::string_view name, const Markup& value) {
    rows += tag("div", {}, tag("dt", {}, name), tag("dd", {}, value));
  }
  void add(std::string_view name, std::string_view value) { add(name, join(value)); }
  Markup html() const { return tag("dl", {{"class", "facts-list"}}, rows); }
};

Markup skipped_table(const Evaluation& evaluation, const Dataset* dataset) {
  if (evaluation.skipped.empty()) return {};
  Table rows{"Pictures that could not be read: left out of queries and gallery",
             {text_cell("picture"), text_cell("why")},
             {},
             "text",
             kMostSkipped};
  for (const SkippedPicture& skipped : evaluation.skipped) {
    const bool named = dataset != nullptr && skipped.picture < dataset->pictures.size();
    rows.rows.push_back({text_cell(named ? dataset->pictures[skipped.picture].path
                                         : fmt::format("picture {}", skipped.picture)),
                         join(skipped.message)});
  }
  return table(rows);
}

Markup evaluation_facts(const Evaluation& evaluation, const std::string& system,
                        const Dataset* dataset) {
  Facts facts;
  facts.add("Encoder", short_name(evaluation.encoder_name));
  facts.add("Its fingerprint", code(evaluation.encoder_fingerprint));
  facts.add("Precision", short_name(evaluation.precision));
  facts.add("Re-ranking", evaluation.rerank.empty() ? "none" : short_name(evaluation.rerank));
  facts.add("Data set", short_name(evaluation.dataset));
  facts.add("Its folder", code(evaluation.root));
  facts.add("Its fingerprint", code(evaluation.dataset_fingerprint));
  facts.add("Pictures", with_commas(evaluation.pictures));
  facts.add("Embeddings from the cache", with_commas(evaluation.from_cache));
  if (std::isfinite(evaluation.encode_seconds)) {
    facts.add("Encoding the others took", fmt::format("{:.1f} s", evaluation.encode_seconds));
  }
  facts.add("Pictures left out", with_commas(evaluation.skipped.size()));
  return join(tag("h3", {}, fmt::format("{} on {}", system, short_name(evaluation.dataset))),
              facts.html(), skipped_table(evaluation, dataset));
}

// Of every metric on the page, once each.
Markup meanings(const ReportInput& input) {
  std::vector<std::string> names;
  const auto add = [&](const std::vector<std::string>& metrics) {
    for (const std::string& metric : metrics) {
      if (std::ranges::find(names, metric) == names.end()) names.push_back(metric);
    }
  };
  for (const Evaluation& evaluation : input.evaluations) {
    for (const ProtocolResult& result : evaluation.protocols) add(result.metrics);
  }
  if (input.catalog != nullptr) add(input.catalog->metrics);
  Facts facts;
  for (const std::string& name : names) {
    const std::string meaning = metric_meaning(name);
    if (!meaning.empty()) facts.add(short_name(name), meaning);
  }
  facts.add("95 % interval",
            "where the mean lies with 95 % confidence; of metrics by resampling the queries "
            "(percentile bootstrap), of shares in plots by Wilson's formula");
  facts.add("similarity", "cosine of two embeddings: 1 is the same direction");
  return join(tag("h3", {}, "What the numbers mean"), facts.html());
}

}  // namespace

Markup provenance_section(const ReportInput& input, const ReportOptions& options) {
  Markup content;
  if (!options.command.empty()) {
    content += paragraph("This command made the report:");
    content += tag("pre", {}, tag("code", {}, options.command));
  }
  const std::vector<std::string> systems = system_names(input.evaluations);
  for (std::size_t i = 0; i < systems.size(); ++i) {
    const Evaluation& evaluation = input.evaluations[i];
    const bool known = input.dataset != nullptr && input.dataset->name == evaluation.dataset;
    content += evaluation_facts(evaluation, systems[i], known ? input.dataset : nullptr);
  }
  if (input.audit != nullptr) {
    Facts facts;
    facts.add("Encoder", short_name(input.audit->encoder_name));
    facts.add("Its fingerprint", code(input.audit->encoder_fingerprint));
    facts.add("Data set", short_name(input.audit->dataset));
    content += join(tag("h3", {}, "Audit"), facts.html());
  }
  if (input.catalog != nullptr) {
    Facts facts;
    facts.add("Catalogue", code(input.catalog->catalog));
    facts.add("Encoder", short_name(input.catalog->encoder_name));
    facts.add("Its fingerprint", code(input.catalog->encoder_fingerprint));
    facts.add("Items", with_commas(input.catalog->items));
    facts.add("Queries", with_commas(input.catalog->queries));
    facts.add("Queries left out", with_commas(input.catalog->failed.size()));
    content += join(tag("h3", {}, "Catalogue"), facts.html());
  }
  content += meanings(input);
  content += remark("Made by libvsearch " VSEARCH_VERSION ".");
  return section("provenance", "How this was made", content);
}

}  // namespace vsearch::report

#include "train_measures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "console.h"
#include "progress.h"
#include "table.h"
#include "vsearch/error.h"
#include "vsearch/report.h"

namespace vsx {
namespace {

using TuningJson = nlohmann::ordered_json;

constexpr std::string_view kTuningMetrics[] = {"R@1", "R@5", "R@20", "mAP"};

double mean_of(const vsearch::ProtocolResult& result, std::string_view metric) {
  for (std::size_t i = 0; i < result.metrics.size(); ++i) {
    if (result.metrics[i] == metric) return result.estimates[i].mean;
  }
  return std::nan("");
}

std::string change_of(double before, double after) {
  if (!std::isfinite(before) || !std::isfinite(after)) return "-";
  return fmt::format("{:.1f} → {:.1f} ({:+.1f})", 100 * before, 100 * after,
                     100 * (after - before));
}

// Nothing of a part no picture of which can be read.
using Measured = std::vector<std::optional<vsearch::Evaluation>>;

Measured evaluate_parts(const std::string& model, const std::vector<vsearch::Dataset>& parts,
                        const MeasureOptions& options) {
  const std::shared_ptr<vsearch::Encoder> encoder = load_model(model, options.model);
  Measured evaluations;
  for (const vsearch::Dataset& part : parts) {
    ProgressDisplay display(fmt::format("measuring {} on {}", encoder->info().name, part.name),
                            "pictures", options.quiet);
    vsearch::EvaluationOptions how;
    how.cache = options.cache;
    how.retrieval.keep_answers = options.keep_answers ? vsearch::kReportAnswers : 0;
    how.progress = display.callback();
    try {
      evaluations.emplace_back(vsearch::evaluate(*encoder, part, how));
    } catch (const vsearch::Error& error) {
      if (error.code() != vsearch::ErrorCode::kBadImage) throw;
      show_status({});
      say(error.what());
      evaluations.emplace_back();
    }
  }
  return evaluations;
}

vsearch::Audit audit_one(const std::string& model, const vsearch::Dataset& dataset,
                         const MeasureOptions& options) {
  const std::shared_ptr<vsearch::Encoder> encoder = load_model(model, options.model);
  ProgressDisplay display(fmt::format("auditing {}", encoder->info().name), "pictures",
                          options.quiet);
  vsearch::AuditOptions how;
  how.only = {"background", "colour", "collapse"};
  how.cache = options.cache;
  how.progress = display.callback();
  return vsearch::audit(*encoder, dataset, how);
}

// Calls with each finding that both audits have, before and after.
template <typename Body>
void for_each_finding(const Audits& audits, Body&& body) {
  for (const vsearch::AuditFinding& before : audits.before.findings) {
    const vsearch::AuditFinding* const after = audits.after.find(before.id);
    if (after != nullptr) body(before, *after);
  }
}

// Calls with each number that both audits have, and its finding.
template <typename Body>
void for_each_number(const Audits& audits, Body&& body) {
  for_each_finding(audits, [&](const vsearch::AuditFinding& before,
                               const vsearch::AuditFinding& after) {
    for (const vsearch::AuditNumber& number : before.numbers) {
      const auto same = std::ranges::find(after.numbers, number.name, &vsearch::AuditNumber::name);
      if (same != after.numbers.end()) body(before, number, *same);
    }
  });
}

TuningJson finite_or_null(double value) {
  return std::isfinite(value) ? TuningJson(value) : TuningJson();
}

}  // namespace

std::vector<BeforeAndAfter> measure_tuning(const std::string& start, const std::string& tuned,
                                           std::vector<vsearch::Dataset>& parts,
                                           const MeasureOptions& options) {
  Measured before = evaluate_parts(start, parts, options);
  Measured after = evaluate_parts(tuned, parts, options);
  std::vector<BeforeAndAfter> measured;
  std::vector<vsearch::Dataset> readable;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!before[i] || !after[i]) continue;
    measured.push_back({std::move(*before[i]), std::move(*after[i])});
    readable.push_back(std::move(parts[i]));
  }
  parts = std::move(readable);
  return measured;
}

Audits audit_tuning(const std::string& start, const std::string& tuned,
                    const vsearch::Dataset& dataset, const MeasureOptions& options) {
  return {audit_one(start, dataset, options), audit_one(tuned, dataset, options)};
}

std::string audits_table(const Audits& audits) {
  Table verdicts({{"audit of " + audits.before.dataset, Shorten::kEnd}, {"before"}, {"after"}});
  for_each_finding(audits,
                   [&](const vsearch::AuditFinding& before, const vsearch::AuditFinding& after) {
                     verdicts.add_row({before.title, std::string(verdict_name(before.verdict)),
                                       std::string(verdict_name(after.verdict))});
                   });
  Table numbers({{"number", Shorten::kEnd}, {"value"}});
  for_each_number(audits, [&](const vsearch::AuditFinding&, const vsearch::AuditNumber& before,
                              const vsearch::AuditNumber& after) {
    const double from = before.estimate.mean;
    const double to = after.estimate.mean;
    const bool is_share = before.unit == vsearch::AuditUnit::kShare;
    const bool both = std::isfinite(from) && std::isfinite(to);
    numbers.add_row({before.name, is_share || !both ? change_of(from, to)
                                                    : fmt::format("{:.3g} → {:.3g}", from, to)});
  });
  return verdicts.text() + "\n" + numbers.text();
}

nlohmann::ordered_json audits_json(const Audits& audits) {
  TuningJson verdicts = TuningJson::object();
  for_each_finding(audits,
                   [&](const vsearch::AuditFinding& before, const vsearch::AuditFinding& after) {
                     verdicts[before.id] = {{"before", verdict_name(before.verdict)},
                                            {"after", verdict_name(after.verdict)}};
                   });
  TuningJson rows = TuningJson::array();
  for_each_number(
      audits, [&](const vsearch::AuditFinding& finding, const vsearch::AuditNumber& before,
                  const vsearch::AuditNumber& after) {
        rows.push_back({{"finding", finding.id},
                        {"number", before.name},
                        {"unit", before.unit == vsearch::AuditUnit::kShare ? "share" : "number"},
                        {"before", finite_or_null(before.estimate.mean)},
                        {"after", finite_or_null(after.estimate.mean)}});
      });
  return {{"verdicts", verdicts}, {"numbers", rows}};
}

std::string tuning_table(const std::vector<BeforeAndAfter>& measured) {
  std::vector<Column> columns{{"measured on", Shorten::kEnd}, {"queries"}};
  for (const std::string_view metric : kTuningMetrics) columns.push_back({std::string(metric)});
  Table table(std::move(columns));
  for (const BeforeAndAfter& one : measured) {
    for (std::size_t i = 0; i < one.before.protocols.size(); ++i) {
      const vsearch::ProtocolResult& before = one.before.protocols[i];
      const vsearch::ProtocolResult& after = one.after.protocols[i];
      std::vector<std::string> cells{fmt::format("{}, {}", one.before.dataset, before.protocol),
                                     with_commas(before.queries - before.without_answer)};
      for (const std::string_view metric : kTuningMetrics) {
        cells.push_back(change_of(mean_of(before, metric), mean_of(after, metric)));
      }
      table.add_row(std::move(cells));
    }
  }
  return table.text() + "Percent, before and after training, and the difference.\n";
}

nlohmann::ordered_json tuning_json(const std::vector<BeforeAndAfter>& measured) {
  const auto figures = [](const vsearch::ProtocolResult& result) {
    TuningJson values = TuningJson::object();
    for (std::size_t i = 0; i < result.metrics.size(); ++i) {
      values[result.metrics[i]] = finite_or_null(result.estimates[i].mean);
    }
    return values;
  };
  TuningJson rows = TuningJson::array();
  for (const BeforeAndAfter& one : measured) {
    for (std::size_t i = 0; i < one.before.protocols.size(); ++i) {
      const vsearch::ProtocolResult& before = one.before.protocols[i];
      rows.push_back({{"dataset", one.before.dataset},
                      {"protocol", before.protocol},
                      {"queries", before.queries - before.without_answer},
                      {"before", figures(before)},
                      {"after", figures(one.after.protocols[i])}});
    }
  }
  return rows;
}

}  // namespace vsx

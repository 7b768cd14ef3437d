#include "train_measures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>

#include "console.h"
#include "progress.h"
#include "table.h"
#include "vsearch/report.h"

namespace vsx {
namespace {

using TuningJson = nlohmann::ordered_json;

constexpr std::string_view kTuningMetrics[] = {"R@1", "R@5", "R@20", "mAP"};

// The split that is learned from; empty: all pictures but those of splits that are measured with.
std::string learned_split(const vsearch::Dataset& dataset, const vsearch::TrainOptions& options) {
  if (!options.split.empty()) return options.split;
  const bool has_train =
      std::ranges::find(dataset.pictures, "train", &vsearch::DatasetPicture::split) !=
      dataset.pictures.end();
  return has_train ? "train" : "";
}

bool is_learned(const vsearch::DatasetPicture& picture, const std::string& learned) {
  constexpr std::string_view kMeasuredWith[] = {"val", "test", "query", "gallery"};
  return learned.empty()
             ? std::ranges::find(kMeasuredWith, picture.split) == std::end(kMeasuredWith)
             : picture.split == learned;
}

// `whole` with the pictures alone that `is_wanted` by their numbers; no protocols.
vsearch::Dataset with_pictures(const vsearch::Dataset& whole, const std::vector<bool>& is_wanted) {
  vsearch::Dataset part;
  part.name = whole.name;
  part.root = whole.root;
  part.classes = whole.classes;
  part.domains = whole.domains;
  for (const vsearch::DatasetField& field : whole.fields) {
    part.fields.push_back({field.name, field.values, {}});
  }
  for (std::size_t i = 0; i < whole.pictures.size(); ++i) {
    if (!is_wanted[i]) continue;
    part.pictures.push_back(whole.pictures[i]);
    for (std::size_t f = 0; f < whole.fields.size(); ++f) {
      part.fields[f].of_picture.push_back(whole.fields[f].of_picture[i]);
    }
  }
  return part;
}

using Numbers = std::vector<std::uint32_t>;

// Every list of pictures in a protocol.
void for_each_list(vsearch::Protocol& protocol, const std::function<void(Numbers&)>& body) {
  body(protocol.queries);
  body(protocol.gallery);
  for (Numbers& list : protocol.positives) body(list);
  for (Numbers& list : protocol.ignored) body(list);
}

// `whole` with these of its protocols and the pictures that they need.
vsearch::Dataset with_protocols(const vsearch::Dataset& whole,
                                std::vector<vsearch::Protocol> protocols) {
  std::vector<bool> is_wanted(whole.pictures.size(), false);
  for (vsearch::Protocol& protocol : protocols) {
    for_each_list(protocol, [&](const Numbers& list) {
      for (const std::uint32_t picture : list) is_wanted[picture] = true;
    });
  }
  Numbers place(whole.pictures.size(), 0);
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < place.size(); ++i) {
    if (is_wanted[i]) place[i] = next++;
  }
  vsearch::Dataset part = with_pictures(whole, is_wanted);
  for (vsearch::Protocol& protocol : protocols) {
    for_each_list(protocol, [&](Numbers& list) {
      for (std::uint32_t& picture : list) picture = place[picture];
    });
  }
  part.protocols = std::move(protocols);
  return part;
}

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

std::vector<vsearch::Evaluation> evaluate_parts(const std::string& model,
                                                const std::vector<vsearch::Dataset>& parts,
                                                const MeasureOptions& options) {
  const std::shared_ptr<vsearch::Encoder> encoder = load_model(model, options.model);
  std::vector<vsearch::Evaluation> evaluations;
  for (const vsearch::Dataset& part : parts) {
    ProgressDisplay display(fmt::format("measuring {} on {}", encoder->info().name, part.name),
                            "pictures", options.quiet);
    vsearch::EvaluationOptions how;
    how.cache = options.cache;
    how.retrieval.keep_answers = options.keep_answers ? vsearch::kReportAnswers : 0;
    how.progress = display.callback();
    evaluations.push_back(vsearch::evaluate(*encoder, part, how));
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

OwnParts own_parts(const vsearch::Dataset& dataset, const vsearch::TrainOptions& options) {
  OwnParts parts;
  vsearch::Dataset held_out = vsearch::held_out_part(dataset, options);
  if (!held_out.pictures.empty()) parts.measured.push_back(std::move(held_out));
  const std::string learned = learned_split(dataset, options);
  std::vector<vsearch::Protocol> protocols;
  for (const vsearch::Protocol& protocol : dataset.protocols) {
    // What is held out shows the split "val" already.
    const bool is_apart = std::ranges::none_of(protocol.queries, [&](std::uint32_t query) {
      const vsearch::DatasetPicture& picture = dataset.pictures[query];
      return is_learned(picture, learned) || picture.split == "val";
    });
    if (is_apart && !protocol.queries.empty()) protocols.push_back(protocol);
  }
  if (protocols.empty()) return parts;
  parts.measured.push_back(with_protocols(dataset, std::move(protocols)));
  std::vector<bool> is_wanted;
  for (const vsearch::DatasetPicture& picture : parts.measured.back().pictures) {
    is_wanted.push_back(!is_learned(picture, learned));
  }
  parts.keep_apart.push_back(with_pictures(parts.measured.back(), is_wanted));
  return parts;
}

std::vector<BeforeAndAfter> measure_tuning(const std::string& start, const std::string& tuned,
                                           const std::vector<vsearch::Dataset>& parts,
                                           const MeasureOptions& options) {
  std::vector<vsearch::Evaluation> before = evaluate_parts(start, parts, options);
  std::vector<vsearch::Evaluation> after = evaluate_parts(tuned, parts, options);
  std::vector<BeforeAndAfter> measured;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    measured.push_back({std::move(before[i]), std::move(after[i])});
  }
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

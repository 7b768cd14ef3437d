#include "vsearch/audit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "eval/audit_findings.h"
#include "eval/audit_run.h"
#include "vsearch/error.h"

namespace vsearch {
namespace eval {
namespace {

constexpr std::array<std::string_view, 6> kIds{"background", "colour",   "collapse",
                                               "robustness", "fairness", "duplicates"};

// Less than this is what compression and rounding do to an embedding.
constexpr double kUnmoved = 0.01;
// A tenth of what another picture would change: colours alone account for nine tenths.
constexpr double kHardlyMoved = 0.1;

AuditFinding* fault(std::vector<AuditFinding>& findings, std::string_view id) {
  const auto found = std::ranges::find(findings, id, &AuditFinding::id);
  const bool is_fault = found != findings.end() && found->verdict == Verdict::kFault;
  return is_fault ? &*found : nullptr;
}

void take_back(AuditFinding& finding, std::string_view why) {
  finding.verdict = Verdict::kNoteworthy;
  finding.summary += why;
}

}  // namespace

void settle(std::vector<AuditFinding>& findings, const Evidence& evidence) {
  AuditFinding* background = fault(findings, "background");
  AuditFinding* colour = fault(findings, "colour");
  if (background != nullptr && colour != nullptr && evidence.subject_recoloured < kUnmoved) {
    take_back(*colour,
              " But the colour of the subject changes nothing: it is that of the background which "
              "counts. See background leakage.");
    colour = nullptr;
  }
  if (background != nullptr && colour != nullptr && evidence.background_content < kHardlyMoved) {
    take_back(*background,
              " But another background in the same colours changes nothing: it is its colour that "
              "counts. See colour bias.");
    background = nullptr;
  }
  AuditFinding* const collapse = fault(findings, "collapse");
  if (collapse != nullptr && (background != nullptr || colour != nullptr)) {
    take_back(
        *collapse,
        fmt::format(" That is what the fault found under \"{}\" brings about: look again when "
                    "it is mended.",
                    background != nullptr ? background->title : colour->title));
  }
}

namespace {

class Auditor {
 public:
  Auditor(const Encoder& encoder, const Dataset& dataset, const AuditOptions& options)
      : options_(options), run_(encoder, dataset, options, forms(encoder)) {
    audit_.dataset = dataset.name;
    audit_.encoder_name = encoder.info().name;
    audit_.encoder_fingerprint = encoder.info().fingerprint;
  }

  Audit audit() {
    Evidence evidence;
    if (is_wanted("background") || is_wanted("colour")) {
      const Subjects subjects = find_subjects(run_);
      if (is_wanted("background")) {
        audit_.findings.push_back(find_background(run_, subjects, evidence));
      }
      if (is_wanted("colour")) audit_.findings.push_back(find_colour(run_, subjects, evidence));
    }
    if (is_wanted("collapse")) audit_.findings.push_back(find_collapse(run_));
    if (is_wanted("robustness")) audit_.findings.push_back(find_robustness(run_));
    if (is_wanted("fairness")) audit_.findings.push_back(find_fairness(run_));
    if (is_wanted("duplicates")) audit_.findings.push_back(find_duplicates(run_));
    settle(audit_.findings, evidence);
    return std::move(audit_);
  }

 private:
  bool is_wanted(std::string_view id) const {
    return options_.only.empty() || std::ranges::count(options_.only, id) > 0;
  }

  std::uint64_t forms(const Encoder& encoder) const {
    const bool subjects = is_wanted("background") || is_wanted("colour");
    return (subjects && encoder.info().token_dim > 0 ? 1 : 0) +
           (is_wanted("background") ? kBackgroundForms : 0) +
           (is_wanted("colour") ? kColourForms : 0) +
           (is_wanted("robustness") ? kRobustnessForms : 0);
  }

  const AuditOptions& options_;
  AuditRun run_;
  Audit audit_;
};

void check(const Dataset& dataset, const AuditOptions& options) {
  for (const std::string& id : options.only) {
    if (std::ranges::count(kIds, id) > 0) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("an audit has no finding '{}'; there are {}", id, fmt::join(kIds, ", ")));
  }
  const std::string& field = options.colour_field;
  if (field.empty() || std::ranges::count(dataset.fields, field, &DatasetField::name) > 0) return;
  std::vector<std::string_view> names;
  for (const DatasetField& known : dataset.fields) names.push_back(known.name);
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: no field '{}' that could say the colour; {}", dataset.name, field,
                          names.empty() ? std::string("there are none")
                                        : fmt::format("there are {}", fmt::join(names, ", "))));
}

}  // namespace
}  // namespace eval

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kSound:
      return "sound";
    case Verdict::kNoteworthy:
      return "noteworthy";
    case Verdict::kFault:
      return "fault";
    case Verdict::kNotMeasured:
      break;
  }
  return "not measured";
}

const AuditFinding* Audit::find(std::string_view id) const {
  const auto found = std::ranges::find(findings, id, &AuditFinding::id);
  return found == findings.end() ? nullptr : &*found;
}

Audit audit(const Encoder& encoder, const Dataset& dataset, const AuditOptions& options) {
  eval::check(dataset, options);
  return eval::Auditor(encoder, dataset, options).audit();
}

}  // namespace vsearch

// vsx audit: what a model gets wrong, before customers find it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "measured.h"
#include "progress.h"
#include "table.h"
#include "vsearch/audit.h"
#include "vsearch/catalog_dataset.h"
#include "vsearch/report.h"

namespace vsx {
namespace {

struct AuditArguments {
  std::string subject;  // a model or a catalogue
  std::string label;    // of a catalogue
  std::vector<std::string> datasets;
  std::vector<std::string> roots;
  std::vector<std::string> only;
  std::string colour_field;
  std::string html;
  std::string cache;
  std::uint32_t sample = vsearch::AuditOptions().sample;
  std::uint32_t gallery = vsearch::AuditOptions().gallery;
  bool incomplete = false;
  bool json = false;
  ModelOptions how;
  bool quiet = false;
};

std::string number(double value, vsearch::AuditUnit unit) {
  if (!std::isfinite(value)) return "-";
  return unit == vsearch::AuditUnit::kShare ? fmt::format("{:.1f} %", 100 * value)
                                            : fmt::format("{:.3f}", value);
}

std::string summary_of(const vsearch::Audit& audit) {
  std::string text =
      fmt::format("{} on {}\n", printable(audit.encoder_name), printable(audit.dataset));
  for (const vsearch::AuditFinding& finding : audit.findings) {
    text += fmt::format("\n{}: {}\n  {}\n", finding.title, verdict_name(finding.verdict),
                        printable(finding.summary));
    if (!finding.remedy.empty()) text += fmt::format("  Remedy: {}\n", printable(finding.remedy));
    if (finding.numbers.empty()) continue;
    Table table({{"number"}, {"value"}, {"95 % interval"}});
    for (const vsearch::AuditNumber& one : finding.numbers) {
      const bool has_interval = one.estimate.low != one.estimate.high;
      table.add_row({one.name, number(one.estimate.mean, one.unit),
                     has_interval ? fmt::format("{} to {}", number(one.estimate.low, one.unit),
                                                number(one.estimate.high, one.unit))
                                  : ""});
    }
    text += table.text();
  }
  return text;
}

int run(const AuditArguments& options) {
  check_output(options.html, "--html");
  std::optional<vsearch::Catalog> catalog;
  std::vector<vsearch::Dataset> datasets;
  std::shared_ptr<vsearch::Encoder> model;
  if (!options.label.empty()) {
    if (!options.roots.empty() || !options.datasets.empty()) {
      throw UsageError("--label is for a catalogue, --dataset and --root for a model: give either");
    }
    catalog.emplace(open_catalog(options.subject, options.quiet, options.how));
    datasets.push_back(vsearch::catalog_dataset(*catalog, {options.label}));
  } else {
    if (options.roots.size() != 1) {
      throw UsageError(
          "an audit needs labels: give --dataset and --root for a model, --label for a catalogue");
    }
    datasets = load_datasets(options.datasets, options.roots, options.incomplete);
    model = load_model(options.subject, options.how);
  }
  // A catalogue's edition keeps its encoder.
  const auto edition = catalog ? catalog->serving() : nullptr;
  const vsearch::Encoder& encoder = edition ? edition->encoder() : *model;
  ProgressDisplay display("auditing", "pictures", options.quiet);
  vsearch::AuditOptions how;
  how.sample = options.sample;
  how.gallery = options.gallery;
  how.only = options.only;
  how.colour_field = options.colour_field;
  how.cache = cache_folder(options.cache);
  how.progress = display.callback();
  const vsearch::Audit audit = vsearch::audit(encoder, datasets.front(), how);
  show_status({});
  print(options.json ? vsearch::to_json(audit) + "\n" : summary_of(audit));
  if (!options.html.empty()) {
    vsearch::ReportInput input;
    input.audit = &audit;
    input.dataset = &datasets.front();
    save_report(options.html, input, options.quiet);
  }
  const bool fault = std::ranges::any_of(audit.findings, [](const vsearch::AuditFinding& finding) {
    return finding.verdict == vsearch::Verdict::kFault;
  });
  return fault ? kPartlyDone : kDone;
}

}  // namespace

Command audit_command(CLI::App& vsx) {
  const auto options = std::make_shared<AuditArguments>();
  CLI::App* app = vsx.add_subcommand(
      "audit", "Look for what a model gets wrong: background, colour, categories, robustness");
  add_positional(app, "MODEL|CATALOG", options->subject,
                 "A model, by path or name, or a catalogue");
  add_dataset_options(app, options->datasets, options->roots, options->incomplete);
  app->add_option("--label", options->label,
                  "For a catalogue: the field of the metadata that says the category")
      ->type_name("FIELD");
  app->add_option("--only", options->only,
                  "One finding: background, colour, collapse, robustness, fairness or duplicates; "
                  "may be given again")
      ->type_name("ID");
  app->add_option("--colour-field", options->colour_field,
                  "The field of the data set that names the colour")
      ->type_name("NAME");
  app->add_option("--sample", options->sample, "Queries that are changed and encoded again")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--gallery", options->gallery, "Pictures they are looked for among, at most")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--html", options->html, "Write a report with examples")->type_name("FILE");
  app->add_option("--cache", options->cache, "Where embeddings are kept; 'none': nowhere")
      ->type_name("DIR");
  app->add_flag("--json", options->json, "Print JSON");
  add_model_options(app, options->how);
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx audit efficientnet-lite0 --dataset folder --root photos/ --html audit.html\n"
      "  vsx audit dinov2-small --dataset grocery --root GroceryStoreDataset/ --only background\n"
      "  vsx audit shop.vsearch --label category\n\n"
      "docs/evaluation.md tells how to read each number.\n"
      "Exit codes: 0 no fault, 1 error, 2 wrong usage, 3 faults were found, 130 stopped by "
      "Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

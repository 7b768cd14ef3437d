// vsx check: whether a catalogue, or an index, is sound and finds what is in it.
#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "facts.h"
#include "progress.h"
#include "vsearch/index.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

struct CheckArguments {
  std::string subject;
  vsearch::HealthOptions how;
  double least_recall = 0.9;
  bool json = false;
  bool quiet = false;
};

Json as_json(const vsearch::IndexHealth& health, const std::vector<std::string>& faults) {
  return {{"passed", faults.empty()},
          {"faults", faults},
          {"size", health.size},
          {"removed_share", health.removed_share},
          {"unreachable", health.unreachable},
          {"degrees", health.degrees},
          {"mean_degree", health.mean_degree},
          {"duplicates", health.duplicates},
          {"spread", health.spread},
          {"sampled", health.sampled},
          {"self_recall", health.self_recall},
          {"lost", health.lost},
          {"distances_per_query", health.distances_per_query}};
}

Json as_json(const vsearch::CheckReport& report, const std::vector<std::string>& faults) {
  Json json = as_json(report.health, faults);
  json.update(Json{{"items", report.items},
                   {"pictures", report.pictures},
                   {"without_embedding", report.without_embedding},
                   {"orphans", report.orphans},
                   {"index_missing", report.index_missing},
                   {"index_extra", report.index_extra},
                   {"index_differs", report.index_differs}});
  return json;
}

Facts facts_of(const vsearch::IndexHealth& health, const CheckArguments& options) {
  return {{"vectors", with_commas(health.size)},
          {"removed", fmt::format("{:.1f} % of the slots", 100 * health.removed_share)},
          {"unreachable", with_commas(health.unreachable)},
          {"links", fmt::format("{} to {}, {:.1f} on average", health.least_degree,
                                health.most_degree, health.mean_degree)},
          {"duplicates", with_commas(health.duplicates)},
          {"searched for", fmt::format("{}, {} not found themselves",
                                       counted(health.sampled, "vector"), health.lost)},
          {"recall", fmt::format("{:.4f} of {} neighbours, at breadth {}", health.self_recall,
                                 options.how.k, options.how.breadth)},
          {"distances", fmt::format("{:.0f} a search", health.distances_per_query)}};
}

Facts facts_of(const vsearch::CheckReport& report) {
  return {{"items", with_commas(report.items)},
          {"pictures", fmt::format("{}, {} without an embedding", with_commas(report.pictures),
                                   with_commas(report.without_embedding))},
          {"orphans", counted(report.orphans, "row")},
          {"index", fmt::format("{} missing, {} too many, {} others than stored",
                                with_commas(report.index_missing), with_commas(report.index_extra),
                                with_commas(report.index_differs))}};
}

// Pruning leaves a few vectors without a link to them in an index that was never changed, too.
constexpr double kUsuallyUnreachable = 1e-3;

std::vector<std::string> unreachable_faults(const vsearch::IndexHealth& health,
                                            std::string_view remedy) {
  if (static_cast<double>(health.unreachable) <=
      kUsuallyUnreachable * static_cast<double>(health.size)) {
    return {};
  }
  return {
      fmt::format("searches cannot reach {}: {}", counted(health.unreachable, "vector"), remedy)};
}

std::vector<std::string> faults_of(const vsearch::IndexHealth& health,
                                   const CheckArguments& options) {
  std::vector<std::string> faults = unreachable_faults(health, "build the index anew");
  if (health.self_recall < options.least_recall) {
    faults.push_back(fmt::format(
        "the recall is {:.4f}, below {} (--min-recall): search with more breadth; if it has "
        "fallen, build the index anew",
        health.self_recall, options.least_recall));
  }
  return faults;
}

int tell(const Json& json, const std::string& table, const std::vector<std::string>& faults,
         const CheckArguments& options) {
  show_status({});
  if (options.json) {
    print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print(table);
    print(faults.empty() ? "PASS\n" : "FAIL\n");
  }
  for (const std::string& fault : faults) say(fault);
  return faults.empty() ? kDone : kFailed;
}

int check_index(const CheckArguments& options) {
  const vsearch::Index index = vsearch::Index::load(options.subject);
  ProgressDisplay display("checking", "vectors", options.quiet);
  const vsearch::IndexHealth health = index.check_health(options.how, display.callback());
  const std::vector<std::string> faults = faults_of(health, options);
  return tell(as_json(health, faults),
              as_text("index of " + options.subject, facts_of(health, options)), faults, options);
}

int check_catalog(const CheckArguments& options) {
  const vsearch::Catalog catalog = open_catalog(options.subject, options.quiet);
  ProgressDisplay display("checking", "vectors", options.quiet);
  const vsearch::CheckReport report = catalog.check(
      {.health = options.how, .min_self_recall = options.least_recall}, display.callback());
  std::vector<std::string> faults = report.faults;
  for (std::string& fault : unreachable_faults(
           report.health, "close the catalogue, delete index.snapshot in it and open it again")) {
    faults.push_back(std::move(fault));
  }
  Facts facts = facts_of(report);
  for (auto& fact : facts_of(report.health, options)) facts.push_back(std::move(fact));
  return tell(as_json(report, faults), as_text("catalogue " + options.subject, facts), faults,
              options);
}

int run(const CheckArguments& options) {
  if (options.how.k == 0) throw UsageError("-k is the number of neighbours: at least 1, not 0");
  return std::filesystem::is_directory(options.subject) ? check_catalog(options)
                                                        : check_index(options);
}

}  // namespace

Command check_command(CLI::App& vsx) {
  const auto options = std::make_shared<CheckArguments>();
  CLI::App* app = vsx.add_subcommand(
      "check", "Check that a catalogue is sound, and that its index finds what is in it");
  add_positional(app, "SUBJECT", options->subject,
                 "A catalogue (a folder), or an index (a file: that of vsx index build, or "
                 "index.snapshot of a catalogue)");
  app->add_option("--min-recall", options->least_recall, "The recall below which it fails")
      ->type_name("R")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app->add_option("--sample", options->how.sample, "How many of its own vectors to search for")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("-k", options->how.k, "Neighbours that each of these searches wants")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--breadth", options->how.breadth, "How far these searches look around")
      ->type_name("N")
      ->capture_default_str();
  app->add_flag("--json", options->json, "Print JSON");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx check shop.vsearch\n"
      "  vsx check shop.vsearch/index.snapshot --min-recall 0.95 -q\n\n"
      "The second looks at the index alone, and also works while another process has the "
      "catalogue\n"
      "open. Exit codes: 0 PASS, 1 FAIL, and the reasons and remedies on standard error.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

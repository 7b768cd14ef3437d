// vsx check: whether an index still finds what is in it.
#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
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

struct Options {
  std::string subject;
  vsearch::HealthOptions how;
  double least_recall = 0.9;
  bool json = false;
  bool quiet = false;
};

std::string as_json(const vsearch::IndexHealth& health, const std::vector<std::string>& faults) {
  return Json{{"passed", faults.empty()},
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
              {"distances_per_query", health.distances_per_query}}
             .dump(2) +
         "\n";
}

std::string as_table(const vsearch::IndexHealth& health, const Options& options) {
  return as_text("index of " + options.subject,
                 {{"vectors", with_commas(health.size)},
                  {"removed", fmt::format("{:.1f} % of the slots", 100 * health.removed_share)},
                  {"unreachable", with_commas(health.unreachable)},
                  {"links", fmt::format("{} to {}, {:.1f} on average", health.least_degree,
                                        health.most_degree, health.mean_degree)},
                  {"duplicates", with_commas(health.duplicates)},
                  {"searched for", fmt::format("{}, {} not found themselves",
                                               counted(health.sampled, "vector"), health.lost)},
                  {"recall", fmt::format("{:.4f} of {} neighbours, at breadth {}",
                                         health.self_recall, options.how.k, options.how.breadth)},
                  {"distances", fmt::format("{:.0f} a search", health.distances_per_query)}});
}

// Pruning leaves a few vectors without a link to them in an index that was never changed, too.
constexpr double kUsuallyUnreachable = 1e-3;

std::vector<std::string> faults_of(const vsearch::IndexHealth& health, const Options& options) {
  std::vector<std::string> faults;
  if (static_cast<double>(health.unreachable) >
      kUsuallyUnreachable * static_cast<double>(health.size)) {
    faults.push_back(fmt::format("searches cannot reach {}: build the index anew",
                                 counted(health.unreachable, "vector")));
  }
  if (health.self_recall < options.least_recall) {
    faults.push_back(fmt::format(
        "the recall is {:.4f}, below {} (--min-recall): search with more breadth; if it has "
        "fallen, build the index anew",
        health.self_recall, options.least_recall));
  }
  return faults;
}

vsearch::IndexHealth check(const vsearch::Index& index, const Options& options) {
  ProgressDisplay display("checking", "vectors", options.quiet);
  return index.check_health(options.how, display.callback());
}

int run(const Options& options) {
  if (options.how.k == 0) throw UsageError("-k is the number of neighbours: at least 1, not 0");
  const vsearch::IndexHealth health =
      std::filesystem::is_directory(options.subject)
          ? check(open_catalog(options.subject, options.quiet).serving()->index(), options)
          : check(vsearch::Index::load(options.subject), options);
  const std::vector<std::string> faults = faults_of(health, options);
  if (options.json) {
    print(as_json(health, faults));
  } else {
    print(as_table(health, options));
    print(faults.empty() ? "PASS\n" : "FAIL\n");
  }
  for (const std::string& fault : faults) say(fault);
  return faults.empty() ? kDone : kFailed;
}

}  // namespace

Command check_command(CLI::App& vsx) {
  const auto options = std::make_shared<Options>();
  CLI::App* app = vsx.add_subcommand("check", "Check that an index still finds what is in it");
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
      "The second also works while another process has the catalogue open.\n"
      "Exit codes: 0 PASS, 1 FAIL, and the reason on standard error.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

// vsx duplicates: items that look the same.
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "progress.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

struct DuplicatesArguments {
  std::string catalog;
  vsearch::DuplicateOptions how;
  bool json = false;
  bool quiet = false;
};

std::string as_json(const std::vector<vsearch::DuplicateGroup>& groups) {
  Json list = Json::array();
  for (const vsearch::DuplicateGroup& group : groups) {
    list.push_back({{"keys", group.keys},
                    {"first", group.first},
                    {"max_distance", shortest(group.max_distance)},
                    {"same_content", group.same_content}});
  }
  return Json{{"groups", std::move(list)}}.dump(2) + "\n";
}

// A paragraph a group: the item that was added first, then the others below it.
std::string as_paragraphs(const std::vector<vsearch::DuplicateGroup>& groups) {
  std::string text;
  for (const vsearch::DuplicateGroup& group : groups) {
    if (!text.empty()) text += '\n';
    text += fmt::format("{}, {}\n  {}\n", counted(group.keys.size(), "item"),
                        group.same_content ? "the same picture file"
                                           : fmt::format("up to {:.4f} apart", group.max_distance),
                        printable(group.first));
    for (const std::string& key : group.keys) {
      if (key != group.first) text += fmt::format("  {}\n", printable(key));
    }
  }
  return text;
}

int run(const DuplicatesArguments& options) {
  const vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  ProgressDisplay display("comparing", "pictures", options.quiet);
  const std::vector<vsearch::DuplicateGroup> groups =
      catalog.near_duplicates(options.how, display.callback());
  show_status({});
  print(options.json ? as_json(groups) : as_paragraphs(groups));
  if (!options.quiet) {
    std::uint64_t items = 0;
    for (const vsearch::DuplicateGroup& group : groups) items += group.keys.size();
    say(groups.empty() ? "no items look the same"
                       : fmt::format("{} of {} that look the same", counted(groups.size(), "group"),
                                     counted(items, "item")));
  }
  return kDone;
}

}  // namespace

Command duplicates_command(CLI::App& vsx) {
  const auto options = std::make_shared<DuplicatesArguments>();
  CLI::App* app = vsx.add_subcommand("duplicates", "Find items that look the same");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  app->add_option("--max-distance", options->how.max_distance, "Pictures this near are the same")
      ->type_name("D")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app->add_flag("--json", options->json, "Print JSON");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx duplicates shop.vsearch\n"
      "  vsx duplicates shop.vsearch --max-distance 0.005 --json\n\n"
      "A paragraph a group, the largest first; in it the item that was added first comes first.\n"
      "Exit codes: 0 done, also if there are none, 1 error, 2 wrong usage, 130 stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

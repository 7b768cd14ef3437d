// vsx remove: takes items out of a catalogue.
#include <fmt/format.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "catalogs.h"
#include "commands.h"
#include "console.h"

namespace vsx {
namespace {

struct RemoveArguments {
  std::string catalog;
  std::vector<std::string> keys;
  bool quiet = false;
};

int run(const RemoveArguments& options) {
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  const std::set<std::string> distinct(options.keys.begin(), options.keys.end());
  const std::vector<std::string> keys(distinct.begin(), distinct.end());
  const std::vector<std::string> unknown = catalog.remove(keys);
  if (!options.quiet) say("removed " + counted(keys.size() - unknown.size(), "item"));
  return report_unknown(options.catalog, unknown);
}

}  // namespace

Command remove_command(CLI::App& vsx) {
  const auto options = std::make_shared<RemoveArguments>();
  CLI::App* app = vsx.add_subcommand("remove", "Remove items from a catalogue");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  add_positional(app, "KEY", options->keys, "Keys of items; their picture files are not touched");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx remove shop.vsearch shirts/red.jpg\n"
      "  vsx remove shop.vsearch -- -odd-key.jpg\n\n"
      "Exit codes: 0 all removed, 1 error, 2 wrong usage, 3 some keys were unknown (the others are "
      "removed).");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

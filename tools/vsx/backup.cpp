// vsx backup: a copy of a catalogue.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "progress.h"

namespace vsx {
namespace {

struct BackupArguments {
  std::string catalog;
  std::string target;
  bool quiet = false;
};

int run(const BackupArguments& options) {
  const vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  ProgressDisplay display("copying", "pages", options.quiet);
  catalog.backup(options.target, display.callback());
  show_status({});
  if (!options.quiet) {
    say(fmt::format("copied '{}' to '{}' in {}", options.catalog, options.target,
                    seconds_text(display.seconds())));
  }
  return kDone;
}

}  // namespace

Command backup_command(CLI::App& vsx) {
  const auto options = std::make_shared<BackupArguments>();
  CLI::App* app = vsx.add_subcommand("backup", "Copy a catalogue");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  add_positional(app, "TARGET", options->target, "The folder to make; it can be opened as it is");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx backup shop.vsearch backups/monday.vsearch\n\n"
      "The whole copy is made or none. Picture files are not in it.\n"
      "Exit codes: 0 done, 1 error, 130 stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

// vsx import: takes what vsx export wrote.
#include <memory>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "failures.h"
#include "progress.h"

namespace vsx {
namespace {

struct ImportArguments {
  std::string catalog;
  std::string folder;
  bool quiet = false;
};

int run(const ImportArguments& options) {
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  ProgressDisplay display("importing", "items", options.quiet);
  const vsearch::AddReport report = catalog.import_from(options.folder, display.callback());
  const double seconds = display.seconds();
  show_status({});
  if (!options.quiet) tell_added("imported", report, seconds);
  return kDone;
}

}  // namespace

Command import_command(CLI::App& vsx) {
  const auto options = std::make_shared<ImportArguments>();
  CLI::App* app = vsx.add_subcommand(
      "import", "Add what vsx export wrote, replacing items whose keys are there");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  add_positional(app, "FOLDER", options->folder, "What vsx export made");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx import other.vsearch exported/\n\n"
      "Nothing is encoded: the catalogue must be of the encoder that the embeddings are from.\n"
      "Exit codes: 0 done, 1 error, 130 stopped by Ctrl-C (what was committed stays).");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

// vsx export: items and embeddings for other programs.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "progress.h"

namespace vsx {
namespace {

struct ExportArguments {
  std::string catalog;
  std::string folder;
  bool quiet = false;
};

int run(const ExportArguments& options) {
  const vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  ProgressDisplay display("exporting", "items", options.quiet);
  const vsearch::ExportReport report = catalog.export_to(options.folder, display.callback());
  show_status({});
  if (!options.quiet) {
    say(fmt::format("exported {} with {} to '{}' in {}", counted(report.items, "item"),
                    counted(report.pictures, "picture"), options.folder,
                    seconds_text(display.seconds())));
  }
  return kDone;
}

}  // namespace

Command export_command(CLI::App& vsx) {
  const auto options = std::make_shared<ExportArguments>();
  CLI::App* app =
      vsx.add_subcommand("export", "Write items and embeddings to files of common formats");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  add_positional(app, "FOLDER", options->folder, "The folder to make");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx export shop.vsearch exported/\n\n"
      "Makes items.jsonl (key, metadata, pictures; a line an item), embeddings.npy (float32, a "
      "row\n"
      "for each picture that has an embedding, in the order of the lines) and manifest.json (of\n"
      "what encoder they are). vsx import reads them again.\n"
      "Exit codes: 0 done, 1 error, 130 stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

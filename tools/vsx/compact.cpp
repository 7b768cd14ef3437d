// vsx compact: gives room back.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "progress.h"

namespace vsx {
namespace {

struct CompactArguments {
  std::string catalog;
  bool quiet = false;
};

int run(const CompactArguments& options) {
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet);
  ProgressDisplay display("compacting", "pictures", options.quiet);
  const vsearch::CompactReport report = catalog.compact(display.callback());
  show_status({});
  if (!options.quiet) {
    say(fmt::format("compacted '{}' in {}: {}, {} before{}", options.catalog,
                    seconds_text(display.seconds()), bytes_text(report.bytes_after),
                    bytes_text(report.bytes_before),
                    report.index_rebuilt ? "; the index was built anew" : ""));
  }
  return kDone;
}

}  // namespace

Command compact_command(CLI::App& vsx) {
  const auto options = std::make_shared<CompactArguments>();
  CLI::App* app = vsx.add_subcommand("compact", "Give the room back that removed items have left");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx compact shop.vsearch\n\n"
      "Needs as much room again meanwhile. Exit codes: 0 done, 1 error, 130 stopped by Ctrl-C\n"
      "(nothing is lost).");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

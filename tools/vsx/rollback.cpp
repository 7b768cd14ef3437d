// vsx rollback: the edition that served before serves again.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"
#include "failures.h"
#include "progress.h"

namespace vsx {
namespace {

struct RollbackArguments {
  std::string catalog;
  ModelOptions model;
  bool quiet = false;
};

int run(const RollbackArguments& options) {
  vsearch::Catalog catalog = open_catalog(options.catalog, options.quiet, options.model);
  ProgressDisplay display("encoding", "pictures", options.quiet);
  const vsearch::ReencodeReport report = catalog.rollback(display.callback());
  show_status({});
  tell_missing(report);
  if (!report.switched) {
    say(fmt::format("not switched, and nothing is lost: {}", report.refusal));
    return kFailed;
  }
  if (!options.quiet) {
    say(fmt::format("edition {} serves again, by the encoder {}", report.edition.id,
                    report.edition.encoder_name));
  }
  return report.missing.empty() ? kDone : kPartlyDone;
}

}  // namespace

Command rollback_command(CLI::App& vsx) {
  const auto options = std::make_shared<RollbackArguments>();
  CLI::App* app =
      vsx.add_subcommand("rollback", "Let the model that served before a reencode serve again");
  add_positional(app, "CATALOG", options->catalog, "A catalogue made by vsx init");
  add_model_options(app, options->model);
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx rollback shop.vsearch\n\n"
      "Pictures that were added since the switch are encoded first. Once more, and the newer one\n"
      "serves again.\n"
      "Exit codes: 0 switched, 1 error, or nothing to return to, 2 wrong usage, 3 switched, but "
      "some\n"
      "pictures could not be encoded and are not found, 130 stopped by Ctrl-C.");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

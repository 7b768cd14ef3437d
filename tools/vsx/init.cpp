// vsx init: an empty catalogue.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "catalogs.h"
#include "commands.h"
#include "console.h"

namespace vsx {
namespace {

struct InitArguments {
  std::string catalog;
  std::string encoder{vsearch::kDefaultEncoder};
  bool quiet = false;
};

int run(const InitArguments& options) {
  const std::shared_ptr<vsearch::Encoder> encoder = load_model(options.encoder);
  vsearch::Catalog::create(options.catalog,
                           {.encoder = encoder,
                            .encoder_ref = vsearch::encoder_reference(options.encoder),
                            .log = show_log});
  if (!options.quiet) {
    say(
        fmt::format("made '{0}' for the encoder {1} ({2} dimensions)\n"
                    "  add pictures with: vsx add {0} PATH...",
                    options.catalog, encoder->info().name, encoder->info().dim));
  }
  return kDone;
}

}  // namespace

Command init_command(CLI::App& vsx) {
  const auto options = std::make_shared<InitArguments>();
  CLI::App* app = vsx.add_subcommand("init", "Make an empty catalogue");
  add_positional(app, "CATALOG", options->catalog, "The folder to make, such as shop.vsearch");
  app->add_option("--encoder", options->encoder,
                  "A model package, or the name of one (default: " + options->encoder + ")")
      ->type_name("MODEL");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx init shop.vsearch\n"
      "  vsx init shop.vsearch --encoder deit-tiny.vsm.pt");
  return {app, [options] { return run(*options); }};
}

}  // namespace vsx

// vsx: visual search on the command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include "commands.h"
#include "console.h"
#include "vsearch/error.h"
#include "vsearch/version.h"

namespace {

using namespace vsx;

int wrong_usage(const CLI::App& app, const std::string& what) {
  std::string command = app.get_name();
  for (std::vector<CLI::App*> chosen = app.get_subcommands(); !chosen.empty();
       chosen = chosen.front()->get_subcommands()) {
    command += " " + chosen.front()->get_name();
  }
  say(fmt::format("{}; see: {} --help", what, command));
  return kWrongUsage;
}

int run(const CLI::App& app, const std::vector<Command>& commands) {
  try {
    for (const Command& command : commands) {
      if (command.app->parsed()) return command.run();
    }
    say("no command given\n" + app.help());
    return kWrongUsage;
  } catch (const UsageError& error) {
    return wrong_usage(app, error.what());
  } catch (const vsearch::Error& error) {
    say(error.what());
    return error.code() == vsearch::ErrorCode::kCancelled ? kInterrupted : kFailed;
  } catch (const std::bad_alloc&) {
    say("out of memory; free some, or add fewer pictures at a time");
    return kFailed;
  } catch (const std::filesystem::filesystem_error& error) {
    say(fmt::format("'{}': {}; check the path and its permissions", error.path1().string(),
                    error.code().message()));
    return kFailed;
  } catch (const std::exception& error) {
    say(fmt::format("unexpected: {}; please report this", error.what()));
    return kFailed;
  }
}

}  // namespace

int main(int argc, char** argv) {
  note_command_line(argc, argv);
  CLI::App app("Visual search: pictures in, the most similar pictures out.", "vsx");
  app.set_version_flag("--version", "vsx " VSEARCH_VERSION, "Print the version and exit");
  app.footer(
      "Begin with:\n"
      "  vsx init shop.vsearch\n"
      "  vsx add shop.vsearch photos/      (or sync, which also follows what changes and goes)\n"
      "  vsx search shop.vsearch --image photo.jpg\n\n"
      "vsx COMMAND --help says more. Messages go to standard error, results to standard output.");
  const std::vector<Command> commands = {
      init_command(app),       add_command(app),        sync_command(app),     remove_command(app),
      patch_command(app),      get_command(app),        list_command(app),     search_command(app),
      duplicates_command(app), fields_command(app),     info_command(app),     check_command(app),
      compact_command(app),    backup_command(app),     export_command(app),   import_command(app),
      reencode_command(app),   rollback_command(app),   editions_command(app), encode_command(app),
      model_command(app),      index_command(app),      eval_command(app),     audit_command(app),
      train_command(app),      train_text_command(app), distill_command(app)};
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return wrong_usage(app, error.what());
  }
  return run(app, commands);
}

// The commands of vsx, one file each.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <stdexcept>
#include <string>

namespace vsx {

// The exit codes; docs/vsx.md explains them.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kWrongUsage = 2,
  kPartlyDone = 3,  // some pictures could not be added, some keys were unknown
  kInterrupted = 130,
};

// A command line that makes no sense, found only after parsing: exit code kWrongUsage.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Command {
  CLI::App* app = nullptr;   // whether it was parsed says whether to run it
  std::function<int()> run;  // returns the exit code; throws vsearch::Error, UsageError
};

// Each declares its options below `vsx`.
Command init_command(CLI::App& vsx);
Command add_command(CLI::App& vsx);
Command remove_command(CLI::App& vsx);
Command patch_command(CLI::App& vsx);
Command search_command(CLI::App& vsx);
Command info_command(CLI::App& vsx);
Command encode_command(CLI::App& vsx);
Command model_command(CLI::App& vsx);
Command index_command(CLI::App& vsx);
Command check_command(CLI::App& vsx);
Command sync_command(CLI::App& vsx);
Command get_command(CLI::App& vsx);
Command list_command(CLI::App& vsx);
Command duplicates_command(CLI::App& vsx);
Command fields_command(CLI::App& vsx);
Command reencode_command(CLI::App& vsx);
Command rollback_command(CLI::App& vsx);
Command editions_command(CLI::App& vsx);
Command compact_command(CLI::App& vsx);
Command backup_command(CLI::App& vsx);
Command export_command(CLI::App& vsx);
Command import_command(CLI::App& vsx);
Command eval_command(CLI::App& vsx);
Command audit_command(CLI::App& vsx);
Command train_command(CLI::App& vsx);
Command train_text_command(CLI::App& vsx);
Command distill_command(CLI::App& vsx);

// Declares `name` as a required positional argument without CLI11's type names in the help.
template <typename Value>
CLI::Option* add_positional(CLI::App* app, const std::string& name, Value& value,
                            const std::string& description) {
  return app->add_option(name, value, description)->required()->type_name("");
}

// The flag that most commands have.
inline void add_quiet_flag(CLI::App* app, bool& quiet) {
  app->add_flag("-q,--quiet", quiet, "No progress and no summary; warnings and errors stay");
}

}  // namespace vsx

#include "exporter.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "vsearch/error.h"

namespace vsx {
namespace {

namespace fs = std::filesystem;

// Ends with kMissing + i if the module argv[1 + i] is not there.
constexpr char kProbe[] =
    "import importlib.util, sys\n"
    "for i, name in enumerate(sys.argv[1:]):\n"
    "    if importlib.util.find_spec(name) is None: sys.exit(100 + i)\n";
constexpr int kMissing = 100;

std::string find_python() {
  if (const char* const given = std::getenv("VSEARCH_PYTHON"); given != nullptr && *given != '\0') {
    return given;
  }
  std::error_code ignored;
  const fs::path self = fs::canonical("/proc/self/exe", ignored);
  for (const fs::path& root : {self.parent_path().parent_path(), fs::path(VSX_SOURCE_DIR)}) {
    fs::path python = root / ".venv" / "bin" / "python3";
    if (fs::exists(python, ignored)) return python.string();
  }
  return "python3";
}

[[noreturn]] void fail(const std::string& python, const std::string& why) {
  throw vsearch::Error(
      vsearch::ErrorCode::kUnavailable,
      fmt::format("cannot run the exporter with '{}': {}; set VSEARCH_PYTHON to a Python that has "
                  "libvsearch, torch, transformers and safetensors (scripts/setup makes one)",
                  python, why));
}

// The exit code of `command`, 128 + its number after a signal.
int run(std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ);
  if (error != 0) fail(command.front(), std::generic_category().message(error));
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail(command.front(), std::generic_category().message(errno));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void check_modules(const std::string& python, const std::vector<std::string>& modules) {
  std::vector<std::string> command{python, "-c", kProbe};
  command.insert(command.end(), modules.begin(), modules.end());
  const int code = run(std::move(command));
  if (code == 0) return;
  const auto missing = static_cast<std::size_t>(std::max(code - kMissing, 0));
  fail(python, code >= kMissing && missing < modules.size()
                   ? fmt::format("it has no module {}", modules[missing])
                   : fmt::format("it ends with the exit code {}", code));
}

}  // namespace

int run_exporter(const std::vector<std::string>& arguments) {
  const std::string python = find_python();
  std::vector<std::string> modules{"vsearch", "torch"};
  if (!arguments.empty() && (arguments.front() == "hf" || arguments.front() == "sentence")) {
    modules.insert(modules.end(), {"transformers", "safetensors"});
  }
  check_modules(python, modules);
  std::vector<std::string> command{python, "-m", "vsearch.export"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(std::move(command));
}

}  // namespace vsx

#include "encoder/choice_cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <span>
#include <string_view>
#include <system_error>

#include "util/sha256.h"

namespace vsearch::encoder {
namespace {

namespace fs = std::filesystem;

std::mutex mutex;

std::map<std::string, std::string>& choices() {  // guarded by mutex
  static std::map<std::string, std::string> known;
  return known;
}

// Empty: there is no place for it.
fs::path file_of(const std::string& key) {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  fs::path folder;
  if (cache != nullptr && fs::path(cache).is_absolute()) {
    folder = cache;
  } else if (home != nullptr && fs::path(home).is_absolute()) {
    folder = fs::path(home) / ".cache";
  } else {
    return {};
  }
  const std::string name =
      util::sha256_hex(std::as_bytes(std::span<const char>(key.data(), key.size())));
  return folder / "vsearch" / ("precision-" + name.substr(0, 32));
}

}  // namespace

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::string_view text(line);
    if (text.starts_with("model name") || text.starts_with("CPU part")) {
      return line.substr(std::min(line.find(':') + 1, line.size()));
    }
  }
  return "unknown";
}

std::optional<std::string> find_choice(const std::string& key) {
  const std::lock_guard lock(mutex);
  const auto known = choices().find(key);
  if (known != choices().end()) return known->second;
  std::string choice;
  std::ifstream file(file_of(key));
  if (!std::getline(file, choice) || choice.empty()) return std::nullopt;
  choices()[key] = choice;
  return choice;
}

void remember_choice(const std::string& key, const std::string& choice) {
  const std::lock_guard lock(mutex);
  choices()[key] = choice;
  const fs::path path = file_of(key);
  if (path.empty()) return;
  // Written aside and renamed: another process never reads half a name. A cache that cannot be
  // written costs a measurement, no more.
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  const fs::path unfinished = fmt::format("{}.{}", path.string(), ::getpid());
  {
    std::ofstream file(unfinished);
    file << choice << '\n';
    if (!file) return;
  }
  fs::rename(unfinished, path, ignored);
}

}  // namespace vsearch::encoder

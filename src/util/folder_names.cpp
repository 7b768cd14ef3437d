#include "util/folder_names.h"

#include <dirent.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>

namespace vsearch::util {
namespace {

struct Close {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

// Calls take(name) for each; false and errno if the folder cannot be read.
template <typename Take>
bool read(DIR* folder, Take take) {
  if (folder == nullptr) return false;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(folder);
    if (entry == nullptr) return errno == 0;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") take(entry->d_name);
  }
}

}  // namespace

std::vector<std::string> names_in(const std::filesystem::path& folder, std::error_code& error) {
  error.clear();
  std::vector<std::string> names;
  const std::unique_ptr<DIR, Close> open(::opendir(folder.c_str()));
  if (!read(open.get(), [&](const char* name) { names.emplace_back(name); })) {
    error.assign(errno, std::generic_category());
  }
  return names;
}

void remove_flat_folder(const std::filesystem::path& folder) noexcept {
  const std::unique_ptr<DIR, Close> open(::opendir(folder.c_str()));
  read(open.get(), [&](const char* name) { ::unlinkat(::dirfd(open.get()), name, 0); });
  ::rmdir(folder.c_str());
}

}  // namespace vsearch::util

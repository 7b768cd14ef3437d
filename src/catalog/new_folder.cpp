#include "catalog/new_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/snapshot.h"
#include "util/folder_names.h"
#include "vsearch/error.h"

namespace vsearch::detail {
namespace {

namespace fs = std::filesystem;

// Folders made on the way; taken away again unless kept.
class NewFolders {
 public:
  ~NewFolders() {
    std::error_code ignored;
    if (!scratch_.empty()) util::remove_flat_folder(scratch_);
    for (auto folder = parents_.rbegin(); folder != parents_.rend(); ++folder) {
      fs::remove(*folder, ignored);  // unless somebody has put something there
    }
  }

  void make_parents(const fs::path& folder) {
    if (folder.empty() || fs::exists(folder)) return;
    make_parents(folder.parent_path());
    parents_.push_back(folder);
    if (!fs::create_directory(folder)) parents_.pop_back();
  }
  void make_scratch(const fs::path& folder) {
    scratch_ = folder;
    fs::create_directory(folder);
  }
  // Returns the parents that were made.
  std::vector<fs::path> keep() {
    scratch_.clear();
    return std::exchange(parents_, {});
  }

 private:
  std::vector<fs::path> parents_;
  fs::path scratch_;
};

void sync(const fs::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!synced) {
    throw fs::filesystem_error("fsync", path, std::error_code(error, std::generic_category()));
  }
}

void sync_folder(const fs::path& folder) {
  sync(folder, O_RDONLY | O_DIRECTORY);
}

[[noreturn]] void fail_exists(const fs::path& path) {
  throw Error(ErrorCode::kAlreadyExists,
              fmt::format("{} exists already and is not an empty folder; open it if it is a "
                          "catalogue, or choose another path",
                          path.string()));
}

}  // namespace

void make_folder(const fs::path& path, const std::string& purpose,
                 const std::function<void(const fs::path& scratch)>& fill) {
  try {
    const fs::path target = fs::absolute(path / "").parent_path();  // without a trailing slash
    std::error_code error;
    if (fs::exists(fs::symlink_status(target)) &&
        !(fs::is_directory(target) && util::names_in(target, error).empty() && !error)) {
      fail_exists(path);
    }
    NewFolders folders;
    folders.make_parents(target.parent_path());
    const fs::path scratch =
        target.parent_path() /
        fmt::format(".{}.creating-{}", target.filename().string(), random_name());
    folders.make_scratch(scratch);
    fill(scratch);
    for (const std::string& name : util::names_in(scratch, error)) sync(scratch / name, O_RDONLY);
    if (error) throw fs::filesystem_error("read folder", scratch, error);
    sync_folder(scratch);
    fs::rename(scratch, target, error);
    if (error == std::errc::directory_not_empty || error == std::errc::file_exists ||
        error == std::errc::not_a_directory) {
      fail_exists(path);  // it has come into being meanwhile
    }
    if (error) throw fs::filesystem_error("rename", target, error);
    const std::vector<fs::path> parents = folders.keep();
    sync_folder(target.parent_path());
    for (const fs::path& made : parents) {
      // One that may be written to, but not listed, cannot be.
      if (::access(made.parent_path().c_str(), R_OK) == 0) sync_folder(made.parent_path());
    }
  } catch (const fs::filesystem_error& e) {
    throw Error(ErrorCode::kIo,
                fmt::format("cannot {} {}: {}; check the permissions and the space on the disk",
                            purpose, path.string(), e.what()));
  }
}

}  // namespace vsearch::detail

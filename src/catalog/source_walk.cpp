#include "catalog/source_walk.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>

#include "vsearch/error.h"
#include "vsearch/image.h"

namespace vsearch::detail {
namespace fs = std::filesystem;
namespace {

class FolderWalk {
 public:
  FolderWalk(fs::path root, ReadCounter& counter)
      : root_(std::move(root)), inside_((root_ / "").string()), counter_(counter) {}

  Found run() {
    folders_.push_back(root_);
    // Links wait until every real folder was read: a folder is then known by its own name, and the
    // result does not depend on the order in which the system lists entries.
    while (!folders_.empty() || !links_.empty()) {
      fs::path next;
      if (!folders_.empty()) {
        next = std::move(folders_.back());
        folders_.pop_back();
      } else {
        next = std::move(links_.extract(links_.begin()).value());
      }
      read_folder(next);
    }
    std::ranges::sort(found_.pictures, {}, &FoundPicture::relative);
    std::ranges::sort(found_.problems);
    return std::move(found_);
  }

 private:
  void read_folder(const fs::path& folder) {
    counter_.check();
    std::error_code error;
    struct stat found {};
    if (stat(folder.c_str(), &found) == 0 && !read_.emplace(found.st_dev, found.st_ino).second) {
      return;
    }
    fs::directory_iterator entry(folder, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) take(*entry);
    if (error) {
      found_.problems.push_back(
          fmt::format("cannot read the folder '{}': {}; its pictures are left out", folder.string(),
                      error.message()));
    }
  }

  void take(const fs::directory_entry& entry) {
    const fs::path& path = entry.path();
    if (path.filename().native().starts_with('.')) return;
    std::error_code error;
    const fs::file_status status = entry.status(error);
    // Whether it is a folder or a picture cannot be told, as in a folder that may be listed alone,
    // or behind a link to what is not there now. A link to itself is neither.
    if (status.type() == fs::file_type::none && error != std::errc::too_many_symbolic_link_levels) {
      found_.problems.push_back(
          fmt::format("cannot look at '{}': {}; it is left out", path.string(), error.message()));
      return;
    }
    if (fs::is_directory(status)) {
      if (entry.is_symlink(error)) {
        links_.insert(path);
      } else {
        folders_.push_back(path);
      }
      return;
    }
    // A broken link is taken too, so that it is reported as a picture that is not there. Pipes and
    // devices are not: reading one might never end.
    if (!fs::is_regular_file(status) && status.type() != fs::file_type::not_found) return;
    if (!has_image_extension(path)) return;
    found_.pictures.push_back({path.string().substr(inside_.size()), path});
    counter_.count();
  }

  fs::path root_;
  std::string inside_;  // what the paths of all pictures begin with
  ReadCounter& counter_;
  std::vector<fs::path> folders_;
  std::set<fs::path> links_;
  std::set<std::pair<dev_t, ino_t>> read_;
  Found found_;
};

}  // namespace

Found find_pictures(const fs::path& given, ReadCounter& counter) {
  std::error_code error;
  const fs::file_status status = fs::status(given, error);
  if (status.type() == fs::file_type::none) {
    throw Error(ErrorCode::kIo, fmt::format("cannot look at '{}': {}; check the path and its "
                                            "permissions",
                                            given.string(), error.message()));
  }
  if (!fs::exists(status)) {
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("'{}': no such file or folder; check the path", given.string()));
  }
  fs::path path = fs::absolute(given).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "photos/" is "photos"
  if (!fs::is_directory(status)) {
    counter.count();
    return {{{path.filename().string(), path, true}}, {}};
  }

  Found found = FolderWalk(path, counter).run();
  if (found.pictures.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the folder '{}' holds no pictures (files that end in .jpg .jpeg .png "
                            ".gif .bmp .webp); name a folder that does{}{}",
                            given.string(), found.problems.empty() ? "" : "\n  ",
                            fmt::join(found.problems, "\n  ")));
  }
  return found;
}

}  // namespace vsearch::detail

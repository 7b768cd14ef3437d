#include "catalog/folder_watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "vsearch/error.h"

namespace vsearch::detail {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kAskEvery{100};
constexpr milliseconds kLookEvery{1000};  // for what is no event; a stat for each link
constexpr std::uint32_t kWatched = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |
                                   IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

[[noreturn]] void fail_watch(const std::string& message) {
  throw Error(ErrorCode::kIo, message);
}

std::string limit_message(const fs::path& folder) {
  return fmt::format(
      "cannot follow the folder '{}': the limit of folders that may be followed is reached; raise "
      "it with: sysctl fs.inotify.max_user_watches=1000000",
      folder.string());
}

bool is_hidden(const fs::path& path) {
  return path.filename().native().starts_with('.');
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// To a folder, or to nothing as yet.
bool may_lead_to_folder(const fs::directory_entry& entry) {
  std::error_code ignored;
  return entry.is_symlink(ignored) && (entry.is_directory(ignored) || !entry.exists(ignored));
}

}  // namespace

FolderWatch::FolderWatch(std::span<const fs::path> folders) {
  open();
  try {
    for (const fs::path& folder : folders) {
      std::error_code error;
      const fs::file_status status = fs::status(folder, error);
      if (!fs::exists(status)) {
        throw Error(ErrorCode::kFileNotFound,
                    fmt::format("'{}': no such folder; check the path", folder.string()));
      }
      if (!fs::is_directory(status)) {
        throw Error(
            ErrorCode::kInvalidArgument,
            fmt::format("'{}' is not a folder; only folders can be followed", folder.string()));
      }
      fs::path path = fs::absolute(folder).lexically_normal();
      if (!path.has_filename() && path.has_relative_path()) path = path.parent_path();
      roots_.push_back({std::move(path)});
    }
    follow_again();
    if (!problem_.empty()) fail_watch(problem_);
    everything_ = false;
  } catch (...) {
    close(inotify_);
    throw;
  }
}

FolderWatch::~FolderWatch() {
  close(inotify_);
}

std::optional<FolderChanges> FolderWatch::wait(const std::function<bool()>& go_on,
                                               const WatchTimes& times) {
  std::optional<Clock::time_point> first;
  while (go_on()) {
    if (read_events() || Clock::now() >= look_again_) follow_again();
    milliseconds pause = kAskEvery;
    if (everything_ || !changed_.empty()) {
      const Clock::time_point now = Clock::now();
      if (!first) first = now;
      const Clock::time_point end = std::min(noted_ + times.quiet, *first + times.longest);
      if (now >= end) {
        const std::set<fs::path> changed = std::exchange(changed_, {});
        return FolderChanges{{changed.begin(), changed.end()},
                             std::exchange(everything_, false),
                             std::exchange(problem_, {})};
      }
      pause = std::min(pause, std::chrono::ceil<milliseconds>(end - now));
    }
    pollfd queue{inotify_, POLLIN, 0};
    if (poll(&queue, 1, static_cast<int>(pause.count())) < 0 && errno != EINTR) {
      fail_watch(fmt::format("cannot wait for changes of folders: {}", std::strerror(errno)));
    }
  }
  return std::nullopt;
}

void FolderWatch::open() {
  inotify_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (inotify_ >= 0) return;
  fail_watch(
      fmt::format("cannot follow folders ({}); raise the limit of open files, or with: sysctl "
                  "fs.inotify.max_user_instances=1024",
                  std::strerror(errno)));
}

// Follows all anew, with an empty queue: taking the watches away one by one would fill it again.
void FolderWatch::reset() {
  close(inotify_);
  open();
  folders_.clear();
  watches_.clear();
  links_.clear();
  for (Root& root : roots_) root.identity = {};
  note_everything();
}

FolderWatch::Identity FolderWatch::identity_of(const char* path) {
  struct stat found {};
  const bool is_there = stat(path, &found) == 0 && S_ISDIR(found.st_mode);
  return is_there ? Identity(found.st_dev, found.st_ino) : Identity{};
}

// Follows those that were named, or that links lead to, and are not followed: at the beginning all,
// later those that went or that another took the place of. Not all of that is an event: a folder
// above may be moved.
void FolderWatch::follow_again() {
  look_again_ = Clock::now() + kLookEvery;
  // A folder is followed once, under one name: which others led to it shows if all begins anew.
  if (is_any_lost()) reset();
  const auto follow = [this](const std::string& path, Identity& identity) {
    if (identity != Identity{}) return;
    identity = identity_of(path.c_str());
    if (identity == Identity{}) return;
    note_everything();
    follow_below(path, false);
  };
  for (Root& root : roots_) follow(root.path.native(), root.identity);
  for (auto& [link, identity] : links_) follow(link, identity);
}

bool FolderWatch::is_any_lost() const {
  const auto is_lost = [](const char* path, const Identity& identity) {
    return identity != Identity{} && identity != identity_of(path);
  };
  return std::ranges::any_of(
             roots_, [&](const Root& root) { return is_lost(root.path.c_str(), root.identity); }) ||
         std::ranges::any_of(
             links_, [&](const auto& link) { return is_lost(link.first.c_str(), link.second); });
}

bool FolderWatch::is_link_below(const fs::path& top) const {
  const std::string inside = (top / "").string();
  const auto first = links_.lower_bound(inside);
  return first != links_.end() && first->first.starts_with(inside);
}

void FolderWatch::remember_link(const fs::path& link) {
  links_.insert_or_assign(link.string(), identity_of(link.c_str()));
}

// `is_new`: the files in it count as changed.
void FolderWatch::follow_below(const fs::path& top, bool is_new) {
  std::vector<fs::path> folders{top};
  std::vector<fs::path> links;
  while (!folders.empty() || !links.empty()) {
    // Links wait, so that a folder is known by its own name.
    std::vector<fs::path>& waiting = folders.empty() ? links : folders;
    const fs::path folder = std::move(waiting.back());
    waiting.pop_back();
    // First followed, then read: what comes in between is seen twice rather than never.
    if (!follow_one(folder)) continue;
    std::error_code error;
    fs::directory_iterator entry(folder, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (is_hidden(entry->path())) continue;
      if (may_lead_to_folder(*entry)) remember_link(entry->path());
      std::error_code ignored;
      if (!entry->is_directory(ignored)) {
        if (is_new) note(entry->path());
      } else {
        (entry->is_symlink(ignored) ? links : folders).push_back(entry->path());
      }
    }
  }
}

// False if the folder is followed already or cannot be.
bool FolderWatch::follow_one(const fs::path& folder) {
  const int watch = inotify_add_watch(inotify_, folder.c_str(), kWatched);
  if (watch < 0) {
    // One that is gone or may not be read is no picture's folder for whoever lists them either.
    if (errno == ENOSPC || errno == ENOMEM) {
      if (problem_.empty()) problem_ = limit_message(folder);
      note_everything();
    }
    return false;
  }
  if (!folders_.emplace(watch, folder.string()).second) return false;
  watches_.insert_or_assign(folder.string(), watch);
  return true;
}

void FolderWatch::forget_below(const fs::path& top) {
  const auto forget = [this](auto watched) {
    inotify_rm_watch(inotify_, watched->second);
    folders_.erase(watched->second);
    return watches_.erase(watched);
  };
  if (const auto found = watches_.find(top.string()); found != watches_.end()) forget(found);
  const std::string inside = (top / "").string();
  auto next = watches_.lower_bound(inside);
  while (next != watches_.end() && next->first.starts_with(inside)) next = forget(next);
}

// Takes what the kernel has; one buffer at a time, so that the caller is asked in between. False if
// it has nothing.
bool FolderWatch::read_events() {
  alignas(inotify_event) std::array<char, 65536> buffer;
  const ssize_t size = read(inotify_, buffer.data(), buffer.size());
  if (size < 0 && errno != EAGAIN && errno != EINTR) {
    fail_watch(fmt::format("cannot read the changes of folders: {}", std::strerror(errno)));
  }
  for (ssize_t at = 0; at < size;) {
    const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
    take(event->wd, event->mask, event->len > 0 ? event->name : "");
    at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
  }
  return size > 0;
}

void FolderWatch::take(int watch, std::uint32_t what, const char* name) {
  if ((what & IN_Q_OVERFLOW) != 0) {
    reset();  // folders may have come unseen
    return;
  }
  const auto found = folders_.find(watch);
  if (found == folders_.end()) return;  // forgotten
  const std::string folder = found->second;
  if ((what & IN_IGNORED) != 0) {
    folders_.erase(found);
    const auto by_path = watches_.find(folder);
    if (by_path != watches_.end() && by_path->second == watch) watches_.erase(by_path);
  } else if ((what & IN_MOVE_SELF) != 0) {
    reset();  // one that was named, or that a link led to
  } else if ((what & (IN_DELETE_SELF | IN_UNMOUNT)) != 0) {
    // A new one may have the same identity.
    for (Root& root : roots_) {
      if (root.path == folder) root.identity = {};
    }
    if (const auto link = links_.find(folder); link != links_.end()) link->second = {};
    note_everything();
  } else {
    take_entry(fs::path(folder) / name, what);
  }
}

void FolderWatch::take_entry(const fs::path& path, std::uint32_t what) {
  if (is_hidden(path)) return;
  if ((what & (IN_DELETE | IN_MOVED_FROM)) != 0) {
    const bool is_of_folder = (what & IN_ISDIR) != 0;
    if (is_of_folder ? is_link_below(path) : links_.contains(path.string())) {
      reset();  // another link may lead to the same folder
    } else if (is_of_folder) {
      forget_below(path);
      note_everything();
    } else {
      note(path);
    }
    return;
  }
  if (links_.contains(path.string())) {  // another in its place: a folder is told by its identity
    if (!is_folder(path)) note(path);
    return;
  }
  std::error_code ignored;
  const fs::directory_entry entry(path, ignored);
  if (may_lead_to_folder(entry)) remember_link(path);
  if (entry.is_directory(ignored)) {  // or a link to one
    follow_below(path, true);
  } else {
    note(path);
  }
}

void FolderWatch::note(const fs::path& path) {
  changed_.insert(path);
  noted_ = Clock::now();
}

void FolderWatch::note_everything() {
  everything_ = true;
  noted_ = Clock::now();
}

}  // namespace vsearch::detail

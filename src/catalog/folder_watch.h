// Folders that are followed as they change.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace vsearch::detail {

// What changed, with all that changed shortly after it.
struct FolderChanges {
  std::vector<std::filesystem::path> paths;  // of files, ascending, each once
  // More may have changed than `paths` says: folders were moved or removed, or came and went faster
  // than they could be followed. Look at everything.
  bool everything = false;
  std::string problem;  // why new folders are not followed from now on; empty: they are
};

struct WatchTimes {
  std::chrono::milliseconds quiet{300};     // changes are together until there are none for so long
  std::chrono::milliseconds longest{3000};  // but no longer than this
};

// Follows folders and those below them by inotify: files that are made, closed after writing, moved
// and removed. New folders are followed at once, and the files that are in them already count as
// changed. Hidden files and folders are left out and symbolic links to folders are followed, as in
// a FilesSource; a folder reached twice is reported under one of its paths. What is behind a
// symbolic link to a file is not followed. A folder that was named, or that a symbolic link leads
// to, and goes away, or has another take its place, is followed again when it is back.
// Changes are kept by the kernel between two calls of wait(); none after construction is missed.
// Threads: one at a time.
class FolderWatch {
 public:
  // Throws kFileNotFound, kInvalidArgument (not a folder), kIo (a limit of the kernel is reached,
  // with its name and the remedy).
  explicit FolderWatch(std::span<const std::filesystem::path> folders);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Waits for changes, and until they are over. `go_on` is asked at least ten times a second;
  // nothing is returned once it says no, and changes seen by then are kept for the next call.
  // Throws kIo.
  std::optional<FolderChanges> wait(const std::function<bool()>& go_on,
                                    const WatchTimes& times = {});

 private:
  // Which folder stands at a path, as another may take its place: device and inode; zeros: none.
  using Identity = std::pair<std::uint64_t, std::uint64_t>;
  struct Root {
    std::filesystem::path path;
    Identity identity{};  // that is followed
  };

  static Identity identity_of(const char* path);
  void open();
  void reset();
  void follow_again();
  bool is_any_lost() const;
  bool is_link_below(const std::filesystem::path& top) const;
  void remember_link(const std::filesystem::path& link);
  void follow_below(const std::filesystem::path& top, bool is_new);
  bool follow_one(const std::filesystem::path& folder);
  void forget_below(const std::filesystem::path& top);
  bool read_events();
  void take(int watch, std::uint32_t what, const char* name);
  void take_entry(const std::filesystem::path& path, std::uint32_t what);
  void note(const std::filesystem::path& path);
  void note_everything();

  int inotify_ = -1;
  std::vector<Root> roots_;                       // that were named
  std::map<std::string, Identity> links_;         // to folders, or to nothing as yet
  std::unordered_map<int, std::string> folders_;  // by watch
  std::map<std::string, int> watches_;            // by folder
  std::set<std::filesystem::path> changed_;
  bool everything_ = false;
  std::string problem_;
  std::chrono::steady_clock::time_point noted_{};       // the last change
  std::chrono::steady_clock::time_point look_again_{};  // when to look for folders that came back
};

}  // namespace vsearch::detail

// Power loss: what a folder's disk was asked to do, and what it may hold when the power fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "faults/file_calls.h"
#include "support/vectors.h"

namespace vsearch_test {

// One thing a file system was told. Files and folders are numbered as they come into being; the
// folder that is watched is 0.
struct DiskEvent {
  enum class Kind {
    kCreate,  // an empty `file`, named `name` in `folder`
    kMakeFolder,
    kRemove,  // what is named `name` in `folder`
    kMove,    // what is named `name` in `folder` is now `to_name` in `to_folder`
    kWrite,   // `bytes` at `offset` of `file`
    kResize,  // `file` to `offset` bytes
    kSync     // of `file`, a folder or not
  };
  Kind kind;
  int file = -1;
  int folder = -1;
  std::string name{};
  int to_folder = -1;
  std::string to_name{};
  std::uint64_t offset = 0;
  std::string bytes{};
};

using DiskTree = std::map<std::pair<int, std::string>, int>;  // folder and name; file or folder

// Records what is done in a folder, which is empty when it begins. Threads: many at once, each with
// files of its own.
class DiskLog : public FileCallObserver {
 public:
  int before(const FileCall&) noexcept override { return 0; }
  void after(const FileCall& call) noexcept override;

  std::size_t count() const;                                        // of events so far
  const std::vector<DiskEvent>& events() const { return events_; }  // when nothing more happens
  // The log of a disk that forgets to sync files that are made with this name, or with none,
  // folders.
  std::vector<DiskEvent> events_without_syncs(const std::string& name) const;

 private:
  std::pair<int, std::string> place_of(std::string_view path) const;
  int file_at(std::string_view path) const;  // -1: nothing
  int make(std::string_view path, DiskEvent::Kind kind);

  mutable std::mutex mutex_;
  std::vector<DiskEvent> events_;
  std::vector<std::string> made_as_{""};  // names by number; of folders empty
  DiskTree tree_;
  std::map<int, int> descriptors_;
};

// What a disk holds, by path.
struct DiskImage {
  std::map<std::string, std::string> files;
  std::set<std::string> folders;

  bool operator==(const DiskImage&) const = default;
  std::size_t hash() const;
  void write_to(const std::filesystem::path& folder) const;  // which is empty
  static DiskImage read_from(const std::filesystem::path& folder);
};

// Which of the writes that nobody has synced are on the disk. A write is torn into pieces that
// begin at multiples of `piece_bytes` of the file.
struct Survivors {
  enum class Pieces { kNone, kAll, kOnlyLast, kAllButFirst, kPrefix, kFew, kHalf, kMost };
  enum class Changes { kNone, kAll, kPrefix };
  Pieces pieces = Pieces::kAll;
  std::size_t piece_bytes = 512;
  // Changes of the length of each file, and changes of folders, come about in their order.
  Changes lengths = Changes::kAll;
  Changes folders = Changes::kAll;
  // What lies where a file has become longer and nothing was written: zeros, or what was there
  // before on the disk.
  bool garbage = false;

  static Survivors any(std::size_t number, Random& random);  // goes through the kinds of `pieces`
};

// A disk on its way through a log. What was synced is safe: the data and the length of a file when
// the file is, the entries of a folder, and all changes of folders before them, when the folder is.
class Disk {
 public:
  void apply(const DiskEvent& event);  // which must live as long as this

  DiskImage now() const;  // all that was written
  DiskImage after_power_loss(const Survivors& survivors, Random& random) const;
  bool all_synced() const;

 private:
  struct File {
    std::string synced;
    std::vector<const DiskEvent*> unsynced;
  };
  static void apply_to(DiskTree& tree, const DiskEvent& event);
  std::string content(const File& file, const Survivors& survivors, Random& random) const;
  template <typename Content>
  DiskImage image(const DiskTree& tree, Content content_of) const;

  std::map<int, File> files_;
  std::set<int> folders_{0};
  DiskTree tree_;
  std::vector<const DiskEvent*> unsynced_;  // changes of folders
};

}  // namespace vsearch_test

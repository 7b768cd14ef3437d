// What this program asks of the files in one folder, seen and made to fail from within.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace vsearch_test {

struct FileCall {
  enum class Kind { kOpen, kClose, kWrite, kSync, kTruncate, kRename, kUnlink, kMakeFolder };

  Kind kind = Kind::kOpen;
  int file = -1;  // a descriptor; of kOpen only after it
  std::string_view
      path{};  // within the folder, empty for itself: kOpen, kRename, kUnlink, kMakeFolder
  std::string_view to{};               // likewise; kRename
  bool creates = false;                // kOpen: with O_CREAT
  bool empties = false;                // kOpen: with O_TRUNC
  std::uint64_t offset = 0;            // kWrite; of kTruncate the new size
  std::span<const std::byte> bytes{};  // kWrite; after it only what has been written
};

class FileCallObserver {
 public:
  virtual ~FileCallObserver() = default;
  // Returns an error number that the call is to fail with, 0 to let it through. Closing never
  // fails.
  virtual int before(const FileCall& call) noexcept = 0;
  // The call has succeeded.
  virtual void after(const FileCall& call) noexcept = 0;
};

// While it lives, `observer` gets every call on files in `folder` (absolute, no links in it) that
// this program makes, whichever library makes it: the program's own open(), write(), ... stand
// before those of the C library. Not seen: what goes through a mapping, and what a stream of the C
// library does with a file but for opening it. One at a time.
// Threads: calls are passed on as they come, from many at once.
class FileCallWatch {
 public:
  FileCallWatch(const std::filesystem::path& folder, FileCallObserver& observer);
  ~FileCallWatch();
  FileCallWatch(const FileCallWatch&) = delete;
  FileCallWatch& operator=(const FileCallWatch&) = delete;

 private:
  std::string folder_;
};

}  // namespace vsearch_test

// Who owns an open catalogue.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <utility>

namespace vsearch::detail {

// Keeps a catalogue's directory to one Catalog while it lives, by a POSIX record lock on the file
// catalog.lock in it. The kernel takes the lock back when the process dies, a forked child does not
// inherit it, and it tells who holds it. The file itself stays.
class OwnerLock {
 public:
  // Throws kBusy, with the owner's process id; kIo.
  explicit OwnerLock(const std::filesystem::path& directory);
  ~OwnerLock();
  OwnerLock(const OwnerLock&) = delete;
  OwnerLock& operator=(const OwnerLock&) = delete;

 private:
  std::pair<dev_t, ino_t> file_{};
  int descriptor_ = -1;
};

}  // namespace vsearch::detail

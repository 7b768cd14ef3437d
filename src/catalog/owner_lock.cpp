#include "catalog/owner_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <string>
#include <system_error>

#include "vsearch/error.h"

namespace vsearch::detail {
namespace {

using FileId = std::pair<dev_t, ino_t>;

// The locks of this process. A record lock does not keep out the process that holds it, and would
// be lost with the first descriptor of the file that is closed: so a second open must be refused
// before it touches the file.
struct Held {
  std::mutex mutex;
  std::map<FileId, pid_t> locks;  // who took it: a forked child inherits the table, not the locks
};
Held& held() {
  static Held* const instance = new Held;  // outlives catalogues with static storage duration
  return *instance;
}

[[noreturn]] void fail_busy(const std::filesystem::path& directory, const std::string& owner) {
  throw Error(ErrorCode::kBusy, fmt::format("the catalogue {} is open in {}; close it there first",
                                            directory.string(), owner));
}

[[noreturn]] void fail_io(const std::filesystem::path& file) {
  throw Error(ErrorCode::kIo,
              fmt::format("cannot lock {}: {}; check the permissions of the folder and whether its "
                          "file system can be written and has file locks",
                          file.string(), std::generic_category().message(errno)));
}

}  // namespace

OwnerLock::OwnerLock(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "catalog.lock";
  const std::lock_guard guard(held().mutex);
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0) {
    const auto found = held().locks.find({status.st_dev, status.st_ino});
    if (found != held().locks.end() && found->second == ::getpid()) {
      fail_busy(directory, fmt::format("this process ({}) already", ::getpid()));
    }
  }
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_io(file);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(descriptor_, F_SETLK, &lock) != 0) {
    const bool busy = errno == EACCES || errno == EAGAIN;
    const bool told = busy && ::fcntl(descriptor_, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK &&
                      lock.l_pid > 0;
    const int error = errno;
    ::close(descriptor_);
    if (busy)
      fail_busy(directory, told ? fmt::format("process {}", lock.l_pid) : "another process");
    errno = error;
    fail_io(file);
  }
  if (::fstat(descriptor_, &status) != 0) {
    const int error = errno;
    ::close(descriptor_);
    errno = error;
    fail_io(file);
  }
  file_ = {status.st_dev, status.st_ino};
  try {
    held().locks[file_] = ::getpid();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

OwnerLock::~OwnerLock() {
  const std::lock_guard guard(held().mutex);
  held().locks.erase(file_);
  ::close(descriptor_);
}

}  // namespace vsearch::detail

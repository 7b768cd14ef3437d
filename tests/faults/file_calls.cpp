#undef _FORTIFY_SOURCE  // its inline open() and others would stand in the way

#include "faults/file_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <optional>

namespace vsearch_test {
namespace {

using Kind = FileCall::Kind;

constexpr std::size_t kDescriptors = 4096;

std::atomic<FileCallObserver*> observer{nullptr};
std::atomic<const std::string*> watched_folder{nullptr};
std::array<std::atomic<bool>, kDescriptors> watched_files{};

std::atomic<bool>* mark_of(int file) {
  if (file < 0 || static_cast<std::size_t>(file) >= kDescriptors) return nullptr;
  return &watched_files[static_cast<std::size_t>(file)];
}

bool is_watched(int file) {
  const std::atomic<bool>* const mark = mark_of(file);
  return mark != nullptr && *mark && observer != nullptr;
}

// A path as the system was given it, and what it is within the folder.
class Place {
 public:
  Place(int folder, const char* path) : whole_(path) {
    if (observer == nullptr) return;
    if (path[0] != '/' && folder != AT_FDCWD) {
      std::array<char, 32> link{};
      std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", folder);
      const long length =
          ::syscall(SYS_readlinkat, AT_FDCWD, link.data(), buffer_.data(), buffer_.size() / 2);
      if (length < 0) return;
      std::snprintf(buffer_.data() + length, buffer_.size() - static_cast<std::size_t>(length),
                    "/%s", path);
      whole_ = buffer_.data();
    }
    const std::string* const root = watched_folder;
    if (root == nullptr || !whole_.starts_with(*root)) return;
    const std::string_view rest = whole_.substr(root->size());
    if (rest.empty()) {
      within_ = rest;
    } else if (rest.front() == '/') {
      within_ = rest.substr(1);
    }
  }
  bool is_within() const { return within_.has_value(); }
  std::string_view within() const { return within_.value_or(std::string_view()); }

 private:
  std::array<char, 2 * PATH_MAX> buffer_;
  std::string_view whole_;
  std::optional<std::string_view> within_;
};

// Makes the system call `call` unless the observer says that it fails.
template <typename SystemCall>
long observed(bool watched, FileCall& call, SystemCall system_call) {
  FileCallObserver* const by = watched ? observer.load() : nullptr;
  if (by == nullptr) return system_call();
  if (const int error = by->before(call); error != 0) {
    errno = error;
    return -1;
  }
  const long result = system_call();
  const int error = errno;
  if (result >= 0) {
    if (call.kind == Kind::kOpen) call.file = static_cast<int>(result);
    if (call.kind == Kind::kWrite) call.bytes = call.bytes.first(static_cast<std::size_t>(result));
    by->after(call);
  }
  errno = error;
  return result;
}

int open_at(int folder, const char* path, int flags, unsigned mode) {
  const Place place(folder, path);
  FileCall call;
  call.kind = Kind::kOpen;
  call.path = place.within();
  call.creates = (flags & O_CREAT) != 0;
  call.empties = (flags & O_TRUNC) != 0;
  const auto file = static_cast<int>(observed(
      place.is_within(), call, [&] { return ::syscall(SYS_openat, folder, path, flags, mode); }));
  if (std::atomic<bool>* const mark = mark_of(file)) *mark = place.is_within();
  return file;
}

std::FILE* open_stream(const char* name, const char* path, const char* mode) {
  using Open = std::FILE* (*)(const char*, const char*);
  const auto next = reinterpret_cast<Open>(::dlsym(RTLD_NEXT, name));
  const Place place(AT_FDCWD, path);
  FileCallObserver* const by = place.is_within() ? observer.load() : nullptr;
  FileCall call;
  call.path = place.within();
  if (const int error = by == nullptr ? 0 : by->before(call); error != 0) {
    errno = error;
    return nullptr;
  }
  return next(path, mode);
}

long write_at(int file, const void* data, std::size_t size, std::uint64_t offset, bool moves) {
  FileCall call;
  call.kind = Kind::kWrite;
  call.file = file;
  call.offset = offset;
  call.bytes = {static_cast<const std::byte*>(data), size};
  return observed(is_watched(file), call, [&] {
    return moves ? ::syscall(SYS_write, file, data, size)
                 : ::syscall(SYS_pwrite64, file, data, size, offset);
  });
}

int sync(int file, long number) {
  FileCall call;
  call.kind = Kind::kSync;
  call.file = file;
  return static_cast<int>(
      observed(is_watched(file), call, [&] { return ::syscall(number, file); }));
}

int truncate_file(int file, std::int64_t size) {
  FileCall call;
  call.kind = Kind::kTruncate;
  call.file = file;
  call.offset = static_cast<std::uint64_t>(size);
  return static_cast<int>(
      observed(is_watched(file), call, [&] { return ::syscall(SYS_ftruncate, file, size); }));
}

int unlink_at(int folder, const char* path, int flags) {
  const Place place(folder, path);
  FileCall call;
  call.kind = Kind::kUnlink;
  call.path = place.within();
  return static_cast<int>(observed(place.is_within(), call,
                                   [&] { return ::syscall(SYS_unlinkat, folder, path, flags); }));
}

}  // namespace

FileCallWatch::FileCallWatch(const std::filesystem::path& folder, FileCallObserver& by)
    : folder_(folder.string()) {
  watched_folder = &folder_;
  observer = &by;
}

FileCallWatch::~FileCallWatch() {
  observer = nullptr;
  watched_folder = nullptr;
}

}  // namespace vsearch_test

using namespace vsearch_test;

#pragma GCC visibility push(default)  // for all libraries, not for this one alone
extern "C" {

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, unsigned) : 0U;
  va_end(more);
  return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, unsigned) : 0U;
  va_end(more);
  return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, unsigned) : 0U;
  va_end(more);
  return open_at(folder, path, flags, mode);
}

int openat64(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, unsigned) : 0U;
  va_end(more);
  return open_at(folder, path, flags, mode);
}

std::FILE* fopen(const char* path, const char* mode) {
  return open_stream("fopen", path, mode);
}

std::FILE* fopen64(const char* path, const char* mode) {
  return open_stream("fopen64", path, mode);
}

int close(int file) {
  if (is_watched(file)) {
    FileCall call;
    call.kind = Kind::kClose;
    call.file = file;
    observer.load()->after(call);
    *mark_of(file) = false;
  }
  return static_cast<int>(::syscall(SYS_close, file));
}

ssize_t write(int file, const void* data, std::size_t size) {
  const long at = is_watched(file) ? ::syscall(SYS_lseek, file, 0, SEEK_CUR) : 0;
  return write_at(file, data, size, static_cast<std::uint64_t>(at), true);
}

ssize_t pwrite(int file, const void* data, std::size_t size, off_t offset) {
  return write_at(file, data, size, static_cast<std::uint64_t>(offset), false);
}

ssize_t pwrite64(int file, const void* data, std::size_t size, off64_t offset) {
  return write_at(file, data, size, static_cast<std::uint64_t>(offset), false);
}

int fsync(int file) {
  return sync(file, SYS_fsync);
}

int fdatasync(int file) {
  return sync(file, SYS_fdatasync);
}

int ftruncate(int file, off_t size) noexcept {
  return truncate_file(file, size);
}

int ftruncate64(int file, off64_t size) noexcept {
  return truncate_file(file, size);
}

int rename(const char* from, const char* to) noexcept {
  const Place source(AT_FDCWD, from);
  const Place target(AT_FDCWD, to);
  FileCall call;
  call.kind = Kind::kRename;
  call.path = source.within();
  call.to = target.within();
  return static_cast<int>(observed(source.is_within() && target.is_within(), call, [&] {
    return ::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
  }));
}

int unlink(const char* path) noexcept {
  return unlink_at(AT_FDCWD, path, 0);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  return unlink_at(folder, path, flags);
}

int rmdir(const char* path) noexcept {
  return unlink_at(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char* path) noexcept {
  struct stat status {};
  const bool folder = ::lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
  return unlink_at(AT_FDCWD, path, folder ? AT_REMOVEDIR : 0);
}

int mkdir(const char* path, mode_t mode) noexcept {
  const Place place(AT_FDCWD, path);
  FileCall call;
  call.kind = Kind::kMakeFolder;
  call.path = place.within();
  return static_cast<int>(observed(place.is_within(), call,
                                   [&] { return ::syscall(SYS_mkdirat, AT_FDCWD, path, mode); }));
}

}  // extern "C"
#pragma GCC visibility pop

#include "index/snapshot_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include "vsearch/error.h"

namespace vsearch::index {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

struct FreeXxh3 {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

std::unique_ptr<XXH3_state_t, FreeXxh3> new_checksum() {
  std::unique_ptr<XXH3_state_t, FreeXxh3> state(XXH3_createState());
  if (state == nullptr) throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  return state;
}

// A name that no other writer uses: not of this process, and not of another one.
std::filesystem::path temporary_name(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter{0};
  std::filesystem::path name = path;
  name += fmt::format(".tmp-{}-{}", ::getpid(), ++counter);
  return name;
}

[[noreturn]] void throw_io(int error, const char* doing, const std::filesystem::path& path,
                           const char* what) {
  throw Error(ErrorCode::kIo, fmt::format("{} '{}': {}: {}", doing, path.string(), what,
                                          std::generic_category().message(error)));
}

}  // namespace

bool Descriptor::open(const std::filesystem::path& path, int flags) {
  file_ = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  return file_ >= 0;
}

bool Descriptor::close() {
  const int file = std::exchange(file_, -1);
  return file < 0 || ::close(file) == 0;
}

FileWriter::FileWriter(const std::filesystem::path& path)
    : path_(path), temporary_(temporary_name(path)) {
  buffer_.reserve(kChecksumBlock);
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) {
    errno = EISDIR;
    fail("cannot put a file in its place");
  }
  if (std::filesystem::exists(path, unknown) && !std::filesystem::is_regular_file(path, unknown)) {
    errno = EEXIST;
    fail("cannot take the place of a device or a pipe");
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (!folder_.open(folder, O_RDONLY | O_DIRECTORY)) fail("cannot open its folder");
  if (!file_.open(temporary_, O_WRONLY | O_CREAT | O_EXCL)) fail("cannot create a file beside it");
}

FileWriter::~FileWriter() {
  if (file_.get() >= 0 && !in_place_) ::unlink(temporary_.c_str());
}

void FileWriter::begin(std::uint64_t offset) {
  position_ = offset;
  blocks_.clear();
}

void FileWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t count = std::min(bytes.size(), kChecksumBlock - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.data(), bytes.data() + count);
    bytes = bytes.subspan(count);
    if (buffer_.size() == kChecksumBlock) flush();
  }
}

std::uint64_t FileWriter::end() {
  if (!buffer_.empty()) flush();
  return checksum_of_blocks(blocks_);
}

void FileWriter::flush() {
  blocks_.push_back(block_checksum(buffer_));
  std::span<const std::byte> left = buffer_;
  while (!left.empty()) {
    const ssize_t count =
        ::pwrite(file_.get(), left.data(), left.size(), static_cast<off_t>(position_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("cannot write");
    left = left.subspan(static_cast<std::size_t>(count));
    position_ += static_cast<std::uint64_t>(count);
  }
  buffer_.clear();
}

void FileWriter::finish(std::uint64_t bytes) {
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) fail("cannot write");
  if (::fsync(file_.get()) != 0) fail("cannot flush to the disk");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot put the new file in place");
  in_place_ = true;
  if (!file_.close()) fail("cannot close");
  if (::fsync(folder_.get()) != 0) fail("cannot flush its folder to the disk");
}

void FileWriter::fail(const char* what) const {
  throw_io(errno, "saving the index to", path_, what);
}

FileReader::FileReader(const std::filesystem::path& path) : path_(path), buffer_(kBufferBytes) {
  if (!file_.open(path, O_RDONLY | O_NONBLOCK)) {  // so that no FIFO holds us up
    if (errno == ENOENT || errno == ENOTDIR) {
      throw Error(ErrorCode::kFileNotFound,
                  fmt::format("no index snapshot at '{}'", path.string()));
    }
    fail("cannot open");
  }
  struct stat status = {};
  if (::fstat(file_.get(), &status) != 0) fail("cannot look at it");
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kIo, fmt::format("'{}' is not a regular file: give one that "
                                            "Index::save() wrote",
                                            path.string()));
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

bool FileReader::checksum_matches() {
  const auto state = new_checksum();
  seek(0);
  std::uint64_t left = size_ - std::min<std::uint64_t>(size_, sizeof(std::uint64_t));
  std::vector<std::byte> block(kBufferBytes);
  while (left > 0) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left, block.size()));
    if (!read(std::span(block).first(count))) return false;
    XXH3_64bits_update(state.get(), block.data(), count);
    left -= count;
  }
  std::uint64_t stored = 0;
  if (!read(std::as_writable_bytes(std::span(&stored, 1)))) return false;
  return stored == XXH3_64bits_digest(state.get());
}

void FileReader::seek(std::uint64_t position) {
  if (::lseek(file_.get(), static_cast<off_t>(position), SEEK_SET) < 0) fail("cannot seek");
  buffer_begin_ = buffer_end_ = 0;
}

bool FileReader::read(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t buffered = std::min(buffer_end_ - buffer_begin_, bytes.size());
    std::memcpy(bytes.data(), buffer_.data() + buffer_begin_, buffered);
    buffer_begin_ += buffered;
    bytes = bytes.subspan(buffered);
    if (bytes.empty()) return true;
    buffer_begin_ = 0;
    buffer_end_ = read_some(buffer_);
    if (buffer_end_ == 0) return false;
  }
  return true;
}

std::size_t FileReader::read_some(std::span<std::byte> bytes) {
  while (true) {
    const ssize_t count = ::read(file_.get(), bytes.data(), bytes.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) fail("cannot read");
  }
}

void refuse_snapshot(const std::filesystem::path& path, std::string_view why) {
  throw Error(ErrorCode::kCorrupt,
              fmt::format("the index snapshot '{}' is damaged: {}: delete it and build the index "
                          "again",
                          path.string(), why));
}

void FileReader::fail(const char* what) const {
  throw_io(errno, "opening the index snapshot", path_, what);
}

}  // namespace vsearch::index

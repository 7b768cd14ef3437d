#include "catalog/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "vsearch/error.h"

namespace vsearch::detail {
namespace {

constexpr std::size_t kGathered = std::size_t{1} << 20;

}  // namespace

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  gathered_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (gathered_.size() >= kGathered) flush();
}

void OutputFile::overwrite_begin(std::string_view text) {
  flush();
  if (::lseek(descriptor_, 0, SEEK_SET) < 0) fail(errno);
  write_out(std::as_bytes(std::span(text)));
  if (::lseek(descriptor_, 0, SEEK_END) < 0) fail(errno);
}

void OutputFile::sync() {
  flush();
  if (::fsync(descriptor_) != 0) fail(errno);
}

void OutputFile::close() {
  flush();
  if (::close(std::exchange(descriptor_, -1)) != 0) fail(errno);
}

void OutputFile::flush() {
  write_out(std::as_bytes(std::span(gathered_)));
  gathered_.clear();
}

void OutputFile::write_out(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::fail(int error) const {
  throw Error(ErrorCode::kIo, fmt::format("cannot write {}: {}; check the permissions and the "
                                          "space on the disk, and try again",
                                          path_.string(), std::generic_category().message(error)));
}

}  // namespace vsearch::detail

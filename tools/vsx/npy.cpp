#include "npy.h"

#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "vsearch/error.h"

namespace vsx {
namespace {

std::string npy_header(std::size_t rows, std::size_t cols) {
  const char order = std::endian::native == std::endian::little ? '<' : '>';
  std::string dictionary = fmt::format(
      "{{'descr': '{}f4', 'fortran_order': False, 'shape': ({}, {}), }}", order, rows, cols);
  // Magic (6), version (2), length (2), dictionary and line break: together a multiple of 64.
  constexpr std::size_t kPrefix = 10;
  const std::size_t total = (kPrefix + dictionary.size() + 1 + 63) / 64 * 64;
  dictionary.append(total - kPrefix - dictionary.size() - 1, ' ');
  dictionary += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dictionary.size() & 0xFF);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

}  // namespace

NpyWriter::NpyWriter(std::filesystem::path path, std::size_t rows, std::size_t cols)
    : path_(std::move(path)), unfinished_(path_.string() + fmt::format(".{}.tmp", getpid())) {
  // Found now, not by commit() after an hour of work.
  if (std::filesystem::is_directory(path_)) {
    errno = EISDIR;
    fail();
  }
  if (std::filesystem::exists(path_) && !std::filesystem::is_regular_file(path_)) {
    throw vsearch::Error(vsearch::ErrorCode::kIo,
                         fmt::format("cannot write '{}': it is a device or a pipe, which a file "
                                     "would take the place of; name a file (-o)",
                                     path_.string()));
  }
  file_.reset(std::fopen(unfinished_.c_str(), "wb"));
  if (!file_) fail();
  const std::string header = npy_header(rows, cols);
  // A failure shows in the first flush; until commit() one is certain.
  (void)std::fwrite(header.data(), 1, header.size(), file_.get());
}

NpyWriter::~NpyWriter() {
  if (!file_) return;
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove(unfinished_, ignored);
}

void NpyWriter::append(std::span<const float> values) {
  if (std::fwrite(values.data(), sizeof(float), values.size(), file_.get()) != values.size())
    fail();
}

void NpyWriter::commit() {
  if (std::fflush(file_.get()) != 0 || std::ferror(file_.get()) != 0) fail();
  if (std::rename(unfinished_.c_str(), path_.c_str()) != 0) fail();
  file_.reset();
}

void NpyWriter::fail() const {
  throw vsearch::Error(
      vsearch::ErrorCode::kIo,
      fmt::format("cannot write '{}': {}; choose a folder that exists and has room (-o)",
                  path_.string(), std::generic_category().message(errno)));
}

}  // namespace vsx

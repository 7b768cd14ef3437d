// A file that is written from beginning to end.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace vsearch::detail {

// A new file; writes are gathered. It is whole once close() has returned.
// Threads: one. Errors: throws kIo, which names the file.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  // Writes over what stands at the beginning, then goes on at the end.
  void overwrite_begin(std::string_view text);
  void sync();  // what was written is on the disk afterwards
  void close();

 private:
  void flush();
  void write_out(std::span<const std::byte> bytes);
  [[noreturn]] void fail(int error) const;

  const std::filesystem::path path_;
  int descriptor_ = -1;
  std::string gathered_;
};

}  // namespace vsearch::detail

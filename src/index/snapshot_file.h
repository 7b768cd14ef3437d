// Reading and writing a checksummed file.
#pragma once

#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace vsearch::index {

struct FreeXxh3 {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};
using Xxh3 = std::unique_ptr<XXH3_state_t, FreeXxh3>;

// An open file of the operating system; closed when it goes.
class Descriptor {
 public:
  Descriptor() = default;
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool open(const std::filesystem::path& path, int flags);  // false: see errno
  bool close();                                             // likewise
  int get() const { return file_; }

 private:
  int file_ = -1;
};

// Writes a file so that under `path` there is either what was there before or the whole new file:
// to a temporary file beside it, which the destructor deletes unless finish() was called.
// Members throw Error (kIo, naming the path and what the system said). Threads: one.
class FileWriter {
 public:
  explicit FileWriter(const std::filesystem::path& path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void pad();  // with zeros, to a multiple of 8 bytes

  // Appends the checksum of all that was written, and puts the file in its place: fsync, rename,
  // fsync of the folder.
  void finish();

 private:
  void flush();
  [[noreturn]] void fail(const char* what) const;  // with what errno says

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  Descriptor folder_;
  Descriptor file_;
  bool in_place_ = false;
  std::uint64_t written_ = 0;
  std::vector<std::byte> buffer_;
  Xxh3 checksum_;
};

// Reads a file that FileWriter wrote. Throws Error: kFileNotFound, kIo. Threads: one.
class FileReader {
 public:
  explicit FileReader(const std::filesystem::path& path);

  std::uint64_t size() const { return size_; }

  // Whether the last 8 bytes are the checksum of all others. Reads from the beginning to the end.
  bool checksum_matches();

  void seek(std::uint64_t position);
  // Fills `bytes`; false if the file ends before.
  bool read(std::span<std::byte> bytes);

 private:
  std::size_t read_some(std::span<std::byte> bytes);
  [[noreturn]] void fail(const char* what) const;  // with what errno says

  std::filesystem::path path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
  std::vector<std::byte> buffer_;
  std::size_t buffer_begin_ = 0;
  std::size_t buffer_end_ = 0;
};

}  // namespace vsearch::index

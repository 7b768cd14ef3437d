// Reading and writing files with checksums.
#pragma once

#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace vsearch::index {

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

// The checksum of some bytes: XXH3 (64 bits, seed 0) of the XXH3s of their blocks, so that threads
// can share the work. A block is also what is written at a time: as much as a huge page, so that
// the system's cache holds it as one where it can (measured: ext4 of Linux 6.18). Mapped again, it
// is then searched as quickly as memory of our own; in pages of 4 KiB that takes a third longer.
constexpr std::size_t kChecksumBlock = std::size_t{2} << 20;
inline std::uint64_t block_checksum(std::span<const std::byte> block) {
  return XXH3_64bits(block.data(), block.size());
}
inline std::uint64_t checksum_of_blocks(std::span<const std::uint64_t> blocks) {
  return XXH3_64bits(blocks.data(), blocks.size_bytes());
}

// Writes a file so that under `path` there is either what was there before or the whole new file:
// to a temporary file beside it, which the destructor deletes unless finish() was called.
// Members throw Error (kIo, naming the path and what the system said). Threads: one.
class FileWriter {
 public:
  explicit FileWriter(const std::filesystem::path& path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  // A section: write() puts its bytes from `offset` on, end() returns their checksum.
  void begin(std::uint64_t offset);
  void write(std::span<const std::byte> bytes);
  std::uint64_t end();

  // Puts the file, `bytes` long, in its place: fsync, rename, fsync of the folder. What was written
  // nowhere is zero.
  void finish(std::uint64_t bytes);

 private:
  void flush();
  [[noreturn]] void fail(const char* what) const;  // with what errno says

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  Descriptor folder_;
  Descriptor file_;
  bool in_place_ = false;
  std::uint64_t position_ = 0;
  std::vector<std::byte> buffer_;  // of one block
  std::vector<std::uint64_t> blocks_;
};

// Reads a file. Throws Error: kFileNotFound, kIo. Threads: one.
class FileReader {
 public:
  explicit FileReader(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  int descriptor() const { return file_.get(); }

  // Whether the last 8 bytes are the XXH3 of all others, as in formats 1 and 2. Reads from the
  // beginning to the end.
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

// Throws kCorrupt: the snapshot says something that cannot be.
[[noreturn]] void refuse_snapshot(const std::filesystem::path& path, std::string_view why);

}  // namespace vsearch::index

// Memory for one record a slot, which grows without copying.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace vsearch::index {

// A slot of the graph: where one vector and its links lie.
using Slot = std::uint32_t;

// Records of a fixed size, aligned to a page at the beginning, zero at first. Pages that were never
// written take no memory. The first of them may come from a file, which is never written to: the
// system reads a page when it is first used, and copies it when it is first changed.
// Threads: as a standard container; reserve() may move the records.
class Arena {
 public:
  explicit Arena(std::size_t record_bytes) : record_bytes_(record_bytes) {}
  ~Arena() { unmap(); }
  // Throws std::bad_alloc. Pages of zeros take no memory in the copy.
  Arena(const Arena& other) : record_bytes_(other.record_bytes_) {
    if (other.mapped_bytes_ == 0) return;
    void* const memory = anonymous(other.mapped_bytes_);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
    mapped_bytes_ = other.mapped_bytes_;
    prefer_huge_pages();
    constexpr std::size_t kPart = 4096;
    static constexpr std::byte kZeros[kPart] = {};
    for (std::size_t at = 0; at < mapped_bytes_; at += kPart) {
      if (std::memcmp(other.memory_ + at, kZeros, kPart) == 0) continue;
      std::memcpy(memory_ + at, other.memory_ + at, kPart);
    }
  }
  Arena(Arena&& other) noexcept
      : record_bytes_(other.record_bytes_),
        memory_(std::exchange(other.memory_, nullptr)),
        mapped_bytes_(std::exchange(other.mapped_bytes_, 0)),
        file_bytes_(std::exchange(other.file_bytes_, 0)) {}
  Arena& operator=(Arena&& other) noexcept {
    std::swap(record_bytes_, other.record_bytes_);
    std::swap(memory_, other.memory_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    std::swap(file_bytes_, other.file_bytes_);
    return *this;
  }

  std::size_t record_bytes() const { return record_bytes_; }
  std::byte* at(Slot slot) const { return memory_ + slot * record_bytes_; }

  // Makes room for `records` in all. Throws std::bad_alloc, with nothing changed.
  void reserve(std::size_t records) {
    const std::size_t bytes = whole_pages(records * record_bytes_);
    if (bytes <= mapped_bytes_) return;
    void* memory = mapped_bytes_ == 0 ? anonymous(bytes) : enlarge(bytes);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
    mapped_bytes_ = bytes;
    prefer_huge_pages();
  }

  // Instead of what was there: the `records`, at least one, that lie in `file` from `offset` on, a
  // multiple of the page. False, with nothing changed, where the system cannot map this file, or
  // where more was reserved than these.
  bool map(int file, std::uint64_t offset, std::size_t records) {
    const std::size_t bytes = whole_pages(records * record_bytes_);
    if (bytes < mapped_bytes_) return false;
    void* memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, static_cast<off_t>(offset));
    if (memory == MAP_FAILED) return false;
    unmap();
    memory_ = static_cast<std::byte*>(memory);
    mapped_bytes_ = bytes;
    file_bytes_ = bytes;
    prefer_huge_pages();
    return true;
  }

  // Has the system read a part of what comes from a file, all at once instead of page by page.
  // False if that is impossible: the disk failed, or the file has become shorter. To touch it would
  // end the process (SIGBUS).
  bool read_ahead(std::size_t begin, std::size_t bytes) const {
#ifdef MADV_POPULATE_READ
    begin = begin / page() * page();
    if (begin >= file_bytes_) return true;
    bytes = std::min(whole_pages(bytes), file_bytes_ - begin);
    return madvise(memory_ + begin, bytes, MADV_POPULATE_READ) == 0 || errno != EFAULT;
#else
    static_cast<void>(begin);
    static_cast<void>(bytes);
    return true;
#endif
  }

 private:
  static std::size_t page() {
    static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return bytes;
  }
  static std::size_t whole_pages(std::size_t bytes) {
    return (bytes + page() - 1) / page() * page();
  }
  static void* anonymous(std::size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  void* enlarge(std::size_t bytes) {
// ThreadSanitizer does not know of mremap, and sees races with what was there before.
#if defined(__linux__) && !defined(__SANITIZE_THREAD__)
    if (file_bytes_ == 0) return mremap(memory_, mapped_bytes_, bytes, MREMAP_MAYMOVE);
    // What comes from the file is a mapping of its own, which moves alone, to the front of a new
    // one.
    void* memory = anonymous(bytes);
    if (memory == MAP_FAILED) return memory;
    const std::size_t rest = mapped_bytes_ - file_bytes_;
    std::memcpy(static_cast<std::byte*>(memory) + file_bytes_, memory_ + file_bytes_, rest);
    if (mremap(memory_, file_bytes_, file_bytes_, MREMAP_MAYMOVE | MREMAP_FIXED, memory) ==
        MAP_FAILED) {
      munmap(memory, bytes);
      return MAP_FAILED;
    }
    if (rest > 0) munmap(memory_ + file_bytes_, rest);
    return memory;
#else
    void* memory = anonymous(bytes);
    if (memory == MAP_FAILED) return memory;
    std::memcpy(memory, memory_, mapped_bytes_);
    unmap();
    file_bytes_ = 0;
    return memory;
#endif
  }
  void prefer_huge_pages() {
#ifdef MADV_HUGEPAGE
    // Fewer misses of the address cache. A hint: what it says does not matter.
    static_cast<void>(madvise(memory_, mapped_bytes_, MADV_HUGEPAGE));
#endif
  }
  void unmap() {
    if (memory_ != nullptr) munmap(memory_, mapped_bytes_);
  }

  std::size_t record_bytes_;
  std::byte* memory_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::size_t file_bytes_ = 0;  // of these, at the front, from a file
};

// The first records of an arena, as a snapshot holds them.
struct Section {
  Section(const char* section_name, Arena* section_arena, std::uint64_t section_records)
      : name(section_name),
        arena(section_arena),
        records(section_records),
        record_bytes(section_arena->record_bytes()) {}

  const char* name;  // at most 15 bytes; it never gets another meaning
  Arena* arena;
  std::uint64_t records;
  std::size_t record_bytes;  // known without a look at the arena, which a writer may replace

  std::uint64_t bytes() const { return records * record_bytes; }
};

}  // namespace vsearch::index

// Memory for one record a slot, which grows without copying.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

#include "index/id_table.h"

namespace vsearch::index {

// Records of a fixed size, aligned to a page at the beginning, zero at first. Pages that were never
// written take no memory. Threads: as a standard container; reserve() may move the records.
class Arena {
 public:
  explicit Arena(std::size_t record_bytes) : record_bytes_(record_bytes) {}
  ~Arena() { unmap(); }
  // Throws std::bad_alloc. Pages of zeros take no memory in the copy.
  Arena(const Arena& other) : record_bytes_(other.record_bytes_) {
    if (other.mapped_bytes_ == 0) return;
    void* const memory = map(other.mapped_bytes_);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
    mapped_bytes_ = other.mapped_bytes_;
    constexpr std::size_t kPage = 4096;
    static constexpr std::byte kZeros[kPage] = {};
    for (std::size_t at = 0; at < mapped_bytes_; at += kPage) {
      if (std::memcmp(other.memory_ + at, kZeros, kPage) == 0) continue;
      std::memcpy(memory_ + at, other.memory_ + at, kPage);
    }
  }
  Arena(Arena&& other) noexcept
      : record_bytes_(other.record_bytes_),
        memory_(std::exchange(other.memory_, nullptr)),
        mapped_bytes_(std::exchange(other.mapped_bytes_, 0)) {}
  Arena& operator=(Arena&& other) noexcept {
    std::swap(record_bytes_, other.record_bytes_);
    std::swap(memory_, other.memory_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    return *this;
  }

  std::size_t record_bytes() const { return record_bytes_; }
  std::byte* at(Slot slot) const { return memory_ + slot * record_bytes_; }

  // Makes room for `records` in all. Throws std::bad_alloc, with nothing changed.
  void reserve(std::size_t records) {
    constexpr std::size_t kPage = 4096;
    const std::size_t bytes = (records * record_bytes_ + kPage - 1) / kPage * kPage;
    if (bytes <= mapped_bytes_) return;
    void* memory = mapped_bytes_ == 0 ? map(bytes) : enlarge(bytes);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
    mapped_bytes_ = bytes;
#ifdef MADV_HUGEPAGE
    // Fewer misses of the address cache. A hint: what it says does not matter.
    static_cast<void>(madvise(memory_, mapped_bytes_, MADV_HUGEPAGE));
#endif
  }

 private:
  static void* map(std::size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  void* enlarge(std::size_t bytes) {
// ThreadSanitizer does not know of mremap, and sees races with what was there before.
#if defined(__linux__) && !defined(__SANITIZE_THREAD__)
    return mremap(memory_, mapped_bytes_, bytes, MREMAP_MAYMOVE);
#else
    void* memory = map(bytes);
    if (memory == MAP_FAILED) return memory;
    std::memcpy(memory, memory_, mapped_bytes_);
    unmap();
    return memory;
#endif
  }
  void unmap() {
    if (memory_ != nullptr) munmap(memory_, mapped_bytes_);
  }

  std::size_t record_bytes_;
  std::byte* memory_ = nullptr;
  std::size_t mapped_bytes_ = 0;
};

}  // namespace vsearch::index

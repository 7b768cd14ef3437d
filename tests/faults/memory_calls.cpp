#include "faults/memory_calls.h"

#include <dlfcn.h>
#include <sqlite3.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <new>

namespace vsearch_test {
namespace {

std::atomic<MemoryCallObserver*> observer{nullptr};
sqlite3_mem_methods sqlite_memory;

bool fails(MemoryCall call) {
  MemoryCallObserver* const by = observer;
  return by != nullptr && by->fails(call);
}

void* sqlite_malloc_or_fail(int size) {
  return fails(MemoryCall::kSqlite) ? nullptr : sqlite_memory.xMalloc(size);
}

void* sqlite_realloc_or_fail(void* memory, int size) {
  return fails(MemoryCall::kSqlite) ? nullptr : sqlite_memory.xRealloc(memory, size);
}

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  if (fails(MemoryCall::kNew)) return nullptr;
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) return std::malloc(size == 0 ? 1 : size);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  void* const memory = allocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void watch_memory(MemoryCallObserver* by) {
  static const bool replaced = [] {
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory);
    sqlite3_mem_methods methods = sqlite_memory;
    methods.xMalloc = sqlite_malloc_or_fail;
    methods.xRealloc = sqlite_realloc_or_fail;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK;
  }();
  if (!replaced) std::abort();
  observer = by;
}

}  // namespace vsearch_test

using namespace vsearch_test;

#pragma GCC visibility push(default)  // for all libraries, not for this one alone

void* operator new(std::size_t size) {
  return allocate_or_throw(size, 1);
}
void* operator new[](std::size_t size) {
  return allocate_or_throw(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, 1);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, 1);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

extern "C" {

void* mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) noexcept {
  using Map = void* (*)(void*, std::size_t, int, int, int, off_t);
  static const auto next = reinterpret_cast<Map>(::dlsym(RTLD_NEXT, "mmap"));
  if (file < 0 && fails(MemoryCall::kMap)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return next(at, size, protection, flags, file, offset);
}

void* mremap(void* at, std::size_t size, std::size_t new_size, int flags, ...) noexcept {
  using Remap = void* (*)(void*, std::size_t, std::size_t, int, void*);
  static const auto next = reinterpret_cast<Remap>(::dlsym(RTLD_NEXT, "mremap"));
  va_list more;
  va_start(more, flags);
  void* const to = (flags & MREMAP_FIXED) != 0 ? va_arg(more, void*) : nullptr;
  va_end(more);
  if (fails(MemoryCall::kMap)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return next(at, size, new_size, flags, to);
}

}  // extern "C"
#pragma GCC visibility pop

// What this program asks of its memory, made to fail from within.
#pragma once

namespace vsearch_test {

enum class MemoryCall {
  kNew,     // operator new, of all libraries in C++
  kSqlite,  // SQLite's allocator
  kMap      // mmap() and mremap() of memory that is no file's: the index's
};

class MemoryCallObserver {
 public:
  virtual ~MemoryCallObserver() = default;
  // Whether the call is to fail. Called from many threads; must not ask for memory.
  virtual bool fails(MemoryCall call) noexcept = 0;
};

// From now on `observer` is asked; null: nobody. Before SQLite is first used.
void watch_memory(MemoryCallObserver* observer);

}  // namespace vsearch_test

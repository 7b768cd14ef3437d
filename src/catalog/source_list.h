// What list_source() is made of: one function for each kind of source.
#pragma once

#include <chrono>
#include <cstdint>

#include "vsearch/source.h"
#include "vsearch/types.h"

namespace vsearch::detail {

// Counts files or rows for the caller's Progress, and ends the reading when that says so.
class ReadCounter {
 public:
  explicit ReadCounter(const Progress& progress) : progress_(progress) {}  // borrowed

  // One more was read. Throws kCancelled.
  void count() {
    ++read_;
    check();
  }
  // Asks the caller, unless it was asked a moment ago. Throws kCancelled.
  void check() {
    if (!go_on()) throw_cancelled();
  }
  // The same without an exception: false if the caller wants to stop.
  bool go_on();
  // Tells the caller the final count. Throws kCancelled.
  void finish();
  [[noreturn]] static void throw_cancelled();

 private:
  const Progress& progress_;
  std::uint64_t read_ = 0;
  std::chrono::steady_clock::time_point asked_{};
};

SourceListing list(const FilesSource& source, ReadCounter& counter);
SourceListing list(const ManifestSource& source, ReadCounter& counter);
SourceListing list(const SqlSource& source, ReadCounter& counter);

}  // namespace vsearch::detail

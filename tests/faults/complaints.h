// What many threads find wrong.
#pragma once

#include <cstddef>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>

namespace vsearch_test {

// What went wrong, by kind; the first of each kind is told at once.
// Threads: note() from many at once.
class Complaints {
 public:
  void note(const std::string& what) {
    const std::lock_guard lock(mutex_);
    if (++counts_[what] == 1) std::fprintf(stderr, "wrong: %s\n", what.c_str());
  }
  std::size_t count() const {
    std::size_t sum = 0;
    for (const auto& [what, count] : counts_) sum += count;
    return sum;
  }
  void print() const {
    for (const auto& [what, count] : counts_) {
      std::printf("  wrong %zu times: %s\n", count, what.c_str());
    }
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::size_t> counts_;
};

}  // namespace vsearch_test

// Says which of many threads hangs, and in what.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

namespace vsearch_test {

// While it lives, each thread says what it begins to do. When one of them does not come to the next
// within `limit`, all are named and the program aborts.
// Threads: begin() of different numbers from many at once.
class Watchdog {
 public:
  Watchdog(std::size_t threads, std::chrono::seconds limit)
      : doing_(threads), limit_(limit), watcher_([this] { watch(); }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    woken_.notify_one();
    watcher_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // `what`: of static lifetime.
  void begin(std::size_t thread, const char* what) {
    doing_[thread].what = what;
    doing_[thread].since_s = now_s();
  }

 private:
  struct Doing {
    std::atomic<const char*> what{"nothing"};
    std::atomic<std::int64_t> since_s{now_s()};
  };

  static std::int64_t now_s() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  void watch() {
    std::unique_lock lock(mutex_);
    while (!woken_.wait_for(lock, std::chrono::seconds(1), [&] { return over_; })) {
      const std::int64_t now = now_s();
      bool hangs = false;
      for (const Doing& doing : doing_) hangs |= now - doing.since_s > limit_.count();
      if (!hangs) continue;
      std::fprintf(stderr, "nothing goes on:\n");
      for (std::size_t thread = 0; thread < doing_.size(); ++thread) {
        std::fprintf(stderr, "  thread %2zu: %s, for %lld s\n", thread, doing_[thread].what.load(),
                     static_cast<long long>(now - doing_[thread].since_s));
      }
      std::abort();
    }
  }

  std::vector<Doing> doing_;
  const std::chrono::seconds limit_;
  std::mutex mutex_;
  std::condition_variable woken_;
  bool over_ = false;
  std::thread watcher_;
};

}  // namespace vsearch_test

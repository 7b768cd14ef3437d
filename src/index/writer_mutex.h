// The mutex that those who change an index take turns with.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

#include "vsearch/error.h"

namespace vsearch::index {

// A mutex whose holder gets an Error, kInvalidArgument, where it would wait for itself: when a
// progress callback changes or saves the index that it was called by.
// Meets the standard's BasicLockable. Threads: any.
class WriterMutex {
 public:
  void lock() {
    throw_if_mine();
    mutex_.lock();
    holder_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  }
  // As lock() does where this thread holds it.
  void throw_if_mine() const {
    // Only this thread can have written its own id there.
    if (holder_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "a progress callback may search the index that it was called by, but not change "
                  "or save it: do that when the call is over");
    }
  }
  void unlock() {
    holder_.store(std::thread::id(), std::memory_order_relaxed);
    mutex_.unlock();
  }

 private:
  std::mutex mutex_;
  std::atomic<std::thread::id> holder_;
};

}  // namespace vsearch::index

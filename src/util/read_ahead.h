// Work on a few threads, ahead of the one who takes the results.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "vsearch/error.h"

namespace vsearch::util {

// Results come in the order of the jobs. `Result` has a member bytes() that says how much memory it
// holds; no new job is begun while the results that wait hold `max_bytes` or more, except the one
// that is waited for.
// Threads: push() and take() are called by one thread.
template <class Job, class Result>
class ReadAhead {
 public:
  // `work` is called from several threads at once. What it throws comes out of take().
  // `threads` 0: as many as suit this machine for reading and decoding.
  // Throws kUnavailable if not one thread can be started.
  ReadAhead(std::size_t threads, std::uint64_t max_bytes, std::function<Result(Job&)> work)
      : max_bytes_(max_bytes), work_(std::move(work)) {
    const std::size_t wanted =
        threads > 0 ? threads : std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 8);
    threads_.reserve(wanted);
    try {
      while (threads_.size() < wanted) threads_.emplace_back([this] { run(); });
    } catch (const std::system_error& e) {
      if (!threads_.empty()) return;  // fewer will do
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("cannot start a thread to read pictures: {}", e.what()));
    } catch (...) {
      stop();  // a thread that is not joined would end the process
      throw;
    }
  }

  ~ReadAhead() { stop(); }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // How many jobs have been pushed and not taken.
  std::size_t pending() const {
    const std::lock_guard lock(mutex_);
    return slots_.size();
  }

  void push(Job job) {
    {
      const std::lock_guard lock(mutex_);
      slots_.push_back({std::move(job), {}, {}});
    }
    changed_.notify_all();
  }

  // The result of the oldest job that was pushed and not taken, of which there must be one; waits
  // for it.
  Result take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return slots_.front().result || slots_.front().failure; });
    Slot slot = std::move(slots_.front());
    slots_.pop_front();
    --begun_;
    if (slot.result) held_bytes_ -= slot.result->bytes();
    lock.unlock();
    changed_.notify_all();
    if (slot.failure) std::rethrow_exception(slot.failure);
    return *std::move(slot.result);
  }

 private:
  struct Slot {
    Job job;
    std::optional<Result> result;
    std::exception_ptr failure;
  };

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  bool may_begin() const {
    return begun_ < slots_.size() && (begun_ == 0 || held_bytes_ < max_bytes_);
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stopped_ || may_begin(); });
      if (stopped_) return;
      // A deque's elements stay where they are while others come and go at its ends, and a slot
      // that was begun is not taken before it is done.
      Slot& slot = slots_[begun_++];
      lock.unlock();
      std::optional<Result> result;
      std::exception_ptr failure;
      try {
        result = work_(slot.job);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (result) held_bytes_ += result->bytes();
      slot.result = std::move(result);
      slot.failure = failure;
      changed_.notify_all();
    }
  }

  const std::uint64_t max_bytes_;
  const std::function<Result(Job&)> work_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // All below are guarded by mutex_.
  std::deque<Slot> slots_;        // the oldest job first
  std::size_t begun_ = 0;         // how many of them, from the front
  std::uint64_t held_bytes_ = 0;  // by the results in them
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace vsearch::util

// A shared mutex under which neither readers nor writers starve.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace vsearch::index {

// Many readers or one writer, in turns ("phase-fair", Brandenburg and Anderson, ECRTS 2009): a
// waiting writer goes before readers that come later, and when it is done every reader that waited
// goes before the next writer. So a reader waits for at most one write, and a writer for the
// readers of one turn. glibc's std::shared_mutex lets readers pass a waiting writer for ever: with
// four threads searching, an add() under it does not end.
// Meets the standard's SharedMutex, without the try_ members. Threads: any.
class FairSharedMutex {
 public:
  void lock_shared() {
    std::unique_lock guard(mutex_);
    if (!writing_ && waiting_writers_ == 0) {
      ++readers_;
      return;
    }
    ++waiting_readers_;
    const std::uint64_t turn = turn_;
    readers_turn_.wait(guard, [&] { return turn_ != turn; });  // unlock() has counted us in
  }

  void unlock_shared() {
    std::unique_lock guard(mutex_);
    if (--readers_ == 0 && waiting_writers_ > 0) writers_turn_.notify_one();
  }

  void lock() {
    std::unique_lock guard(mutex_);
    ++waiting_writers_;
    writers_turn_.wait(guard, [&] { return !writing_ && readers_ == 0; });
    --waiting_writers_;
    writing_ = true;
  }

  void unlock() {
    std::unique_lock guard(mutex_);
    writing_ = false;
    if (waiting_readers_ > 0) {
      readers_ = waiting_readers_;
      waiting_readers_ = 0;
      ++turn_;
      readers_turn_.notify_all();
    } else if (waiting_writers_ > 0) {
      writers_turn_.notify_one();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable readers_turn_;
  std::condition_variable writers_turn_;
  std::uint64_t turn_ = 0;  // counts the times that waiting readers were let in
  std::uint32_t readers_ = 0;
  std::uint32_t waiting_readers_ = 0;
  std::uint32_t waiting_writers_ = 0;
  bool writing_ = false;
};

}  // namespace vsearch::index

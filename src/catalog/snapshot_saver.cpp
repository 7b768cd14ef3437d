#include "catalog/snapshot_saver.h"

#include <algorithm>
#include <exception>

namespace vsearch::detail {

void SnapshotSaver::note(std::uint64_t unsaved, std::uint64_t size) {
  if (changes_ == 0 || unsaved < std::max(changes_, size / 10)) return;
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  due_ = true;
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::exception&) {
      return;  // no thread to be had now: the next change asks again, and closing saves, too
    }
  }
  wake_.notify_one();
}

void SnapshotSaver::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void SnapshotSaver::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return due_ || stopped_; });
    if (stopped_) return;
    lock.unlock();
    save_();
    lock.lock();
    due_ = false;  // what changed while it was saved is less than what is worth a save
  }
}

}  // namespace vsearch::detail

// Saves the index snapshot of a catalogue in the background.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace vsearch::detail {

// A thread, started when it is first needed, that saves when it is told that it is time.
// Threads: any.
class SnapshotSaver {
 public:
  // `save` is called on the thread; what it throws is its own business to tell.
  // `changes`: after how many it is time, see CatalogOptions::snapshot_changes; 0: never.
  SnapshotSaver(std::uint64_t changes, std::function<void()> save)
      : changes_(changes), save_(std::move(save)) {}
  ~SnapshotSaver() { stop(); }
  SnapshotSaver(const SnapshotSaver&) = delete;
  SnapshotSaver& operator=(const SnapshotSaver&) = delete;

  // Says that the snapshot lacks `unsaved` changes of an index of `size` vectors.
  void note(std::uint64_t unsaved, std::uint64_t size);
  // Waits for a save that runs, and begins no other.
  void stop();

 private:
  void run();

  const std::uint64_t changes_;
  const std::function<void()> save_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool due_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace vsearch::detail

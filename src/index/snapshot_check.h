// A look through what was opened, while it is in use already.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "index/graph.h"
#include "index/snapshot_format.h"

namespace vsearch::index {

// Looks for damage once, on a thread of its own. Threads: any, but start().
class BackgroundCheck {
 public:
  // Says what is wrong, nothing if all is well; returns early when asked to stop.
  using Look = std::function<std::string(const std::stop_token&)>;

  BackgroundCheck() = default;
  ~BackgroundCheck();  // ends it early
  BackgroundCheck(const BackgroundCheck&) = delete;
  BackgroundCheck& operator=(const BackgroundCheck&) = delete;

  // `path` is named when there is damage. Where no thread can be started, looks at once.
  void start(const std::filesystem::path& path, Look look);

  // Throws kCorrupt if damage has been found.
  void throw_if_damaged() const {
    if (state_.load(std::memory_order_acquire) == State::kDamaged) throw_damaged();
  }
  // Waits until everything was looked at; then the same.
  void wait();

 private:
  enum class State { kSound, kLooking, kDamaged };
  void finish(const std::stop_token& stop) noexcept;
  [[noreturn]] void throw_damaged() const;

  std::filesystem::path path_;
  Look look_;
  pid_t process_ = 0;
  std::mutex mutex_;    // of forked children, which have no thread that looks
  std::string defect_;  // set before kDamaged
  std::atomic<State> state_ = State::kSound;
  std::unique_ptr<std::jthread> thread_;
};

struct LoadedSection {
  SnapshotEntry entry;
  const Arena* arena;
};

// The first defect, nothing if there is none or when asked to stop; throws std::bad_alloc. Whether
// sections are what their checksums say:
std::string defect_of_sections(std::span<const LoadedSection> sections, std::size_t threads,
                               const std::stop_token& stop);

// Whether the vectors of the slots in use are such as add() stores under `metric`, and those of
// removed ones can be compared with.
std::string defect_of_vectors(const Graph& graph, Metric metric, std::size_t threads,
                              const std::stop_token& stop);

}  // namespace vsearch::index

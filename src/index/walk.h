// What a best-first walk works in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "index/id_table.h"
#include "index/vector_store.h"
#include "vsearch/index.h"

namespace vsearch::index {

struct Candidate {
  float distance;
  Slot slot;

  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
  }
};

// Which slots a walk has met. To forget is to count on.
class Visited {
 public:
  void begin(std::size_t slots) {
    if (marks_.size() < slots) marks_.resize(slots);
    if (++epoch_ == 0) {
      std::fill(marks_.begin(), marks_.end(), std::uint16_t{0});
      epoch_ = 1;
    }
  }
  bool insert(Slot slot) {  // false: it was there
    if (marks_[slot] == epoch_) return false;
    marks_[slot] = epoch_;
    return true;
  }

 private:
  std::vector<std::uint16_t> marks_;
  std::uint16_t epoch_ = 0;
};

// The nearest candidates that a walk has met, at most `breadth`, in ascending order.
class Pool {
 public:
  void begin(std::size_t breadth) {
    breadth_ = breadth;
    items_.resize(breadth);
    size_ = 0;
    next_ = 0;
  }
  std::size_t size() const { return size_; }
  Slot slot(std::size_t i) const { return items_[i].slot & ~kExpanded; }
  float distance(std::size_t i) const { return items_[i].distance; }

  void offer(float distance, Slot slot) {
    if (size_ == breadth_ && !(distance < items_[size_ - 1].distance)) return;
    Candidate* const begin = items_.data();
    Candidate* const at =
        std::upper_bound(begin, begin + size_, distance,
                         [](float value, const Candidate& item) { return value < item.distance; });
    if (size_ < breadth_) ++size_;
    std::copy_backward(at, begin + size_ - 1, begin + size_);
    *at = {distance, slot};
    next_ = std::min(next_, static_cast<std::size_t>(at - begin));
  }

  // Appends the nearest candidates that were not given out before, at most `count`.
  void take(std::size_t count, std::vector<Slot>& to) {
    for (; count > 0 && next_ < size_; ++next_) {
      if ((items_[next_].slot & kExpanded) != 0) continue;
      to.push_back(items_[next_].slot);
      items_[next_].slot |= kExpanded;
      --count;
    }
  }

 private:
  static constexpr Slot kExpanded = 0x80000000;  // slots are below, see Graph::kMaxSlots

  std::vector<Candidate> items_;
  std::size_t breadth_ = 0;
  std::size_t size_ = 0;
  std::size_t next_ = 0;  // all before were given out
};

// Reused from one walk to the next.
struct WalkMemory {
  Visited visited;
  Pool pool;
  VectorStore::Query query;
  VectorStore::Query other;
  std::vector<Slot> expanded;
  std::vector<Slot> met;
  std::vector<Slot> bridges;
  std::vector<float> distances;
  std::vector<Candidate> found;
  std::vector<Candidate> left;
  SearchReport report;  // of the walks since somebody set it to nothing
};

// Hands out WalkMemory. Threads: any.
class WalkMemories {
 public:
  class Lease {
   public:
    explicit Lease(WalkMemories& from) : from_(from), memory_(from.take()) {}
    ~Lease() { from_.put(std::move(memory_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    WalkMemory& operator*() const { return *memory_; }
    WalkMemory* operator->() const { return memory_.get(); }

   private:
    WalkMemories& from_;
    std::unique_ptr<WalkMemory> memory_;
  };

 private:
  std::unique_ptr<WalkMemory> take() {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<WalkMemory> memory = std::move(idle_.back());
      idle_.pop_back();
      return memory;
    }
    idle_.reserve(made_ + 1);  // so that put() cannot fail
    auto memory = std::make_unique<WalkMemory>();
    ++made_;
    return memory;
  }
  void put(std::unique_ptr<WalkMemory> memory) noexcept {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(memory));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<WalkMemory>> idle_;
  std::size_t made_ = 0;
};

}  // namespace vsearch::index

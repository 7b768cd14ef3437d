// What a best-first walk works in.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
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

// Which slots a walk has met.
class Visited {
 public:
  void begin(std::size_t slots) {
    for (std::size_t i = 0; i < count_; ++i) words_[log_[i] / 64] = 0;
    count_ = 0;
    if (words_.size() * 64 < slots) words_.resize((slots + 63) / 64);
  }
  bool insert(Slot slot) {  // false: it was there
    Slot inserted = 0;
    return insert({&slot, 1}, &inserted) == 1;
  }
  // Writes those of `slots` that were not there to `inserted`, which has room for all, and returns
  // how many. Without branches, since which they are cannot be foretold.
  std::size_t insert(std::span<const Slot> slots, Slot* inserted) {
    if (log_.size() < count_ + slots.size()) log_.resize(2 * count_ + slots.size());
    std::uint64_t* const words = words_.data();
    std::size_t count = 0;
    for (const Slot slot : slots) {
      const std::uint64_t word = words[slot / 64];
      const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
      words[slot / 64] = word | bit;
      inserted[count] = slot;
      count += (word & bit) == 0 ? 1 : 0;
    }
    std::copy_n(inserted, count, log_.data() + count_);
    count_ += count;
    return count;
  }

 private:
  std::vector<std::uint64_t> words_;  // one bit a slot
  std::vector<Slot> log_;             // whose bits are set
  std::size_t count_ = 0;
};

// How far a walk goes. It keeps the `breadth` nearest candidates. With a `reach`, as soon as it has
// met `nearest` of them it also leaves out what is farther than the last of these by more than that
// part of its distance: so a query in a crowd gets more work than one beside a few clear
// neighbours, and for the same recall over many a fifth to a third fewer vectors are looked at
// ("adaptive beam search": Al-Jazzazi et al., arXiv 2505.15636).
struct Effort {
  static constexpr float kNoLimit = std::numeric_limits<float>::infinity();

  std::size_t breadth;
  std::size_t nearest = 0;
  float reach = kNoLimit;
  std::size_t expected = breadth;  // candidates that it will likely expand
};

// The nearest candidates that a walk has met, in ascending order.
class Pool {
 public:
  // `origin` is added to a distance before a part of it is taken.
  void begin(const Effort& effort, float origin) {
    effort_ = effort;
    origin_ = origin;
    distances_.assign(effort.breadth + kBlock, Effort::kNoLimit);
    slots_.resize(effort.breadth);
    size_ = 0;
    next_ = 0;
    bound_ = Effort::kNoLimit;
    limit_ = Effort::kNoLimit;
  }
  std::size_t size() const { return size_; }
  Slot slot(std::size_t i) const { return slots_[i] & ~kExpanded; }
  float distance(std::size_t i) const { return distances_[i]; }
  // What is as far as that is not kept, nor given out.
  float limit() const { return limit_; }
  // From now on the limit is at most that.
  void bound(float limit) {
    bound_ = std::min(bound_, limit);
    limit_ = std::min(limit_, limit);
  }

  void offer(float distance, Slot slot) {
    if (!(distance < limit_)) return;
    const std::size_t at = std::min(place_of(distance), size_);
    if (size_ < effort_.breadth) ++size_;
    const std::size_t moved = size_ - 1 - at;
    std::memmove(&distances_[at] + 1, &distances_[at], moved * sizeof(float));
    std::memmove(&slots_[at] + 1, &slots_[at], moved * sizeof(Slot));
    distances_[at] = distance;
    slots_[at] = slot;
    next_ = std::min(next_, at);
    limit_ = std::min(bound_, own_limit());
  }

  // The nearest candidate that was not given out before.
  std::optional<Slot> take() {
    while (next_ < size_ && (slots_[next_] & kExpanded) != 0) ++next_;
    if (next_ == size_ || distances_[next_] > limit_) return std::nullopt;
    const Slot slot = slots_[next_];
    slots_[next_++] |= kExpanded;
    return slot;
  }

 private:
  static constexpr Slot kExpanded = 0x80000000;  // slots are below, see Graph::kMaxSlots
  static constexpr std::size_t kBlock = 16;

  float own_limit() const {
    const float full = size_ < effort_.breadth ? Effort::kNoLimit : distances_[size_ - 1];
    if (size_ < effort_.nearest || effort_.nearest == 0) return full;
    const float distance = distances_[effort_.nearest - 1];
    return std::min(full, distance + effort_.reach * std::abs(distance + origin_));
  }

  // How many are at most as far: counted without branches, first in whole blocks.
  std::size_t place_of(float distance) const {
    const float* const distances = distances_.data();
    std::size_t at = 0;
    for (std::size_t end = kBlock; end <= size_; end += kBlock) {
      at += distances[end - 1] <= distance ? kBlock : 0;
    }
    const float* const block = distances + at;
    std::size_t within = 0;
    for (std::size_t i = 0; i < kBlock; ++i) within += block[i] <= distance ? 1 : 0;
    return at + within;
  }

  std::vector<float> distances_;  // infinite where there is none yet, and for a block behind
  std::vector<Slot> slots_;
  Effort effort_{};
  float origin_ = 0;
  float bound_ = Effort::kNoLimit;
  float limit_ = Effort::kNoLimit;
  std::size_t size_ = 0;
  std::size_t next_ = 0;  // all before were given out
};

// One step of a walk: a candidate, and the slots met behind it. Several steps take turns: while the
// links or the vectors of one come from memory, others go on.
struct Step {
  enum class Waits : std::uint8_t { kNothing, kLinks, kVectors };

  Slot from = 0;
  Waits waits = Waits::kNothing;
  std::vector<Slot> met;
};

// Reused from one walk to the next.
struct WalkMemory {
  Visited visited;
  Pool pool;
  Pool matching;  // of those in the pool, where it holds others too
  VectorStore::Query query;
  VectorStore::Query other;
  std::array<Step, 3> steps;
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

  WalkMemories() = default;
  WalkMemories(const WalkMemories&) {}  // of a copy: its own
  WalkMemories& operator=(const WalkMemories&) = delete;

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

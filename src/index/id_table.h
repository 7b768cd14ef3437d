// Which slot of the graph holds the vector of an id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "index/arena.h"
#include "vsearch/types.h"

namespace vsearch::index {

// An open-addressing hash table from id to slot. Unlike std::unordered_map it allocates only when
// it is made, so that inserting under a lock is quick and cannot fail, and it needs 12 bytes a
// bucket, which a snapshot holds as they are. Threads: as a standard container.
class IdTable {
 public:
  // Room for `capacity` ids at a load of four fifths at most.
  explicit IdTable(std::size_t capacity = 0) {
    while (this->capacity() < capacity) buckets_ *= 2;
    ids_.reserve(buckets_);
    slots_.reserve(buckets_);
  }

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return buckets_ / 5 * 4; }
  std::size_t buckets() const { return buckets_; }
  std::size_t memory_bytes() const { return buckets_ * (sizeof(Id) + sizeof(std::uint32_t)); }

  std::optional<Slot> find(Id id) const { return slot_in(bucket_of(id)); }

  // Inserts or replaces. Needs size() < capacity().
  void set(Id id, Slot slot) noexcept {
    const std::size_t bucket = bucket_of(id);
    if (slot_array()[bucket] == kEmpty) ++size_;
    id_array()[bucket] = id;
    slot_array()[bucket] = slot + 1;
  }

  void erase(Id id) noexcept {
    std::size_t hole = bucket_of(id);
    if (slot_array()[hole] == kEmpty) return;
    --size_;
    // Moves back those behind the hole that it would cut off from their home bucket.
    for (std::size_t next = after(hole); slot_array()[next] != kEmpty; next = after(next)) {
      const std::size_t home = home_of(id_array()[next]);
      const std::size_t from_home = (next - home) & (buckets_ - 1);
      const std::size_t from_hole = (next - hole) & (buckets_ - 1);
      if (from_home < from_hole) continue;
      id_array()[hole] = id_array()[next];
      slot_array()[hole] = slot_array()[next];
      hole = next;
    }
    slot_array()[hole] = kEmpty;
  }

  // A copy with room for `capacity` ids.
  IdTable grown(std::size_t capacity) const {
    IdTable larger(capacity);
    for (std::size_t bucket = 0; bucket < buckets_; ++bucket) {
      if (const std::optional<Slot> slot = slot_in(bucket)) larger.set(id_in(bucket), *slot);
    }
    return larger;
  }

  // All ids, in no order.
  std::vector<Id> ids() const {
    std::vector<Id> result;
    result.reserve(size_);
    for (std::size_t bucket = 0; bucket < buckets_; ++bucket) {
      if (slot_in(bucket)) result.push_back(id_in(bucket));
    }
    return result;
  }

  // For a snapshot: what it holds of a table of so many buckets. After they were filled, restore()
  // says how many there are, and how many of them hold an id.
  std::vector<Section> sections(std::size_t buckets) {
    return {{"table ids", &ids_, buckets}, {"table slots", &slots_, buckets}};
  }
  static bool can_have_buckets(std::uint64_t buckets) {
    return buckets >= kLeastBuckets && buckets <= kMostBuckets && (buckets & (buckets - 1)) == 0;
  }
  void restore(std::size_t buckets, std::size_t size) {
    buckets_ = buckets;
    size_ = size;
  }

  Id id_in(std::size_t bucket) const { return id_array()[bucket]; }
  std::optional<Slot> slot_in(std::size_t bucket) const {  // none: it is empty
    if (slot_array()[bucket] == kEmpty) return std::nullopt;
    return slot_array()[bucket] - 1;
  }
  // Whether find() meets what a bucket holds. Some bucket must be empty.
  bool leads_to(std::size_t bucket) const { return bucket_of(id_in(bucket)) == bucket; }

 private:
  static constexpr std::uint32_t kEmpty = 0;  // else the slot, plus 1
  static constexpr std::size_t kLeastBuckets = 16;
  static constexpr std::size_t kMostBuckets = std::size_t{1} << 32;  // for Graph::kMaxSlots

  std::size_t after(std::size_t bucket) const { return (bucket + 1) & (buckets_ - 1); }

  std::size_t home_of(Id id) const {  // the finaliser of splitmix64: ids are often consecutive
    id = (id ^ (id >> 30)) * 0xBF58476D1CE4E5B9U;
    id = (id ^ (id >> 27)) * 0x94D049BB133111EBU;
    return static_cast<std::size_t>(id ^ (id >> 31)) & (buckets_ - 1);
  }

  // The bucket that holds `id`, or the empty one where it belongs.
  std::size_t bucket_of(Id id) const {
    std::size_t bucket = home_of(id);
    while (slot_array()[bucket] != kEmpty && id_array()[bucket] != id) bucket = after(bucket);
    return bucket;
  }

  Id* id_array() const { return reinterpret_cast<Id*>(ids_.at(0)); }
  std::uint32_t* slot_array() const { return reinterpret_cast<std::uint32_t*>(slots_.at(0)); }

  std::size_t buckets_ = kLeastBuckets;
  Arena ids_{sizeof(Id)};
  Arena slots_{sizeof(std::uint32_t)};
  std::size_t size_ = 0;
};

}  // namespace vsearch::index

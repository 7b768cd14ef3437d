// Which slot of the graph holds the vector of an id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "vsearch/types.h"

namespace vsearch::index {

// A slot of the graph: where one vector and its links lie.
using Slot = std::uint32_t;

// An open-addressing hash table from id to slot. Unlike std::unordered_map it allocates only when
// it is made, so that inserting under a lock is quick and cannot fail, and it needs 12 bytes a
// bucket. Threads: as a standard container.
class IdTable {
 public:
  // Room for `capacity` ids at a load of four fifths at most.
  explicit IdTable(std::size_t capacity = 0) {
    std::size_t buckets = 16;
    while (buckets / 5 * 4 < capacity) buckets *= 2;
    ids_.resize(buckets);
    slots_.resize(buckets, kEmpty);
  }

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return slots_.size() / 5 * 4; }
  std::size_t memory_bytes() const { return slots_.size() * (sizeof(Id) + sizeof(Slot)); }

  std::optional<Slot> find(Id id) const {
    const std::size_t bucket = bucket_of(id);
    if (slots_[bucket] == kEmpty) return std::nullopt;
    return slots_[bucket];
  }

  // Inserts or replaces. Needs size() < capacity().
  void set(Id id, Slot slot) noexcept {
    const std::size_t bucket = bucket_of(id);
    if (slots_[bucket] == kEmpty) ++size_;
    ids_[bucket] = id;
    slots_[bucket] = slot;
  }

  void erase(Id id) noexcept {
    std::size_t hole = bucket_of(id);
    if (slots_[hole] == kEmpty) return;
    --size_;
    // Moves back those behind the hole that it would cut off from their home bucket.
    for (std::size_t next = after(hole); slots_[next] != kEmpty; next = after(next)) {
      const std::size_t home = home_of(ids_[next]);
      const std::size_t from_home = (next - home) & (slots_.size() - 1);
      const std::size_t from_hole = (next - hole) & (slots_.size() - 1);
      if (from_home < from_hole) continue;
      ids_[hole] = ids_[next];
      slots_[hole] = slots_[next];
      hole = next;
    }
    slots_[hole] = kEmpty;
  }

  // A copy with room for `capacity` ids.
  IdTable grown(std::size_t capacity) const {
    IdTable larger(capacity);
    for (std::size_t bucket = 0; bucket < slots_.size(); ++bucket) {
      if (slots_[bucket] != kEmpty) larger.set(ids_[bucket], slots_[bucket]);
    }
    return larger;
  }

  // All ids, in no order.
  std::vector<Id> ids() const {
    std::vector<Id> result;
    result.reserve(size_);
    for (std::size_t bucket = 0; bucket < slots_.size(); ++bucket) {
      if (slots_[bucket] != kEmpty) result.push_back(ids_[bucket]);
    }
    return result;
  }

 private:
  static constexpr Slot kEmpty = 0xFFFFFFFF;  // above every slot, see Graph::kMaxSlots

  std::size_t after(std::size_t bucket) const { return (bucket + 1) & (slots_.size() - 1); }

  std::size_t home_of(Id id) const {  // the finaliser of splitmix64: ids are often consecutive
    id = (id ^ (id >> 30)) * 0xBF58476D1CE4E5B9U;
    id = (id ^ (id >> 27)) * 0x94D049BB133111EBU;
    return static_cast<std::size_t>(id ^ (id >> 31)) & (slots_.size() - 1);
  }

  // The bucket that holds `id`, or the empty one where it belongs.
  std::size_t bucket_of(Id id) const {
    std::size_t bucket = home_of(id);
    while (slots_[bucket] != kEmpty && ids_[bucket] != id) bucket = after(bucket);
    return bucket;
  }

  std::vector<Id> ids_;
  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace vsearch::index

// What stands behind vsearch::IdFilter.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <roaring/roaring64map.hh>
#include <span>
#include <vector>

#include "index/id_table.h"
#include "vsearch/index.h"

namespace vsearch {

namespace index {

// The state of an index: of which one, and how often its ids or slots have changed.
struct Version {
  std::uint64_t index = 0;
  std::uint64_t changes = 0;

  friend bool operator==(const Version&, const Version&) = default;
};

// The slots in which an index holds the ids of a filter.
struct MatchingSlots {
  std::vector<Slot> slots;          // ascending
  std::vector<std::uint64_t> bits;  // one for each slot of the index
  std::vector<Slot> seeds;          // IdFilter::Impl::seeds()

  bool contains(Slot slot) const { return (bits[slot / 64] >> (slot % 64) & 1) != 0; }
};

// Which slots a walk may give, and where it may begin.
struct SlotFilter {
  const IdFilter* ids;
  const MatchingSlots* matching;  // null: look the ids of slots up
  std::span<const Slot> seeds;    // that match
  double share;                   // of all that match
};

}  // namespace index

struct IdFilter::Impl {
  Impl() = default;
  explicit Impl(const Impl& other) : ids(other.ids) {}

  // For a table of an index with `slot_count` slots, in the state `version`. Unless `needed`, null
  // when asked for the first time in this state: to find all of many ids is more work than to look
  // up those that a single search meets. Throws std::bad_alloc.
  std::shared_ptr<const index::MatchingSlots> matching(const index::IdTable& table,
                                                       std::size_t slot_count,
                                                       index::Version version, bool needed);
  // The slots of some of the ids. Where a filtered walk begins, besides the slot that HNSW's upper
  // levels lead to: what matches may lie far from everything near the query.
  std::vector<index::Slot> seeds(const index::IdTable& table) const;

  Roaring64Map ids;

  std::mutex mutex;  // of the rest
  std::shared_ptr<const index::MatchingSlots> found;
  index::Version found_in;
  index::Version asked_in;
};

}  // namespace vsearch

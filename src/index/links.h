// The lists of neighbours, on all levels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "index/arena.h"

namespace vsearch::index {

// Neighbour lists that are to replace those of the graph.
class LinkChanges {
 public:
  struct List {
    Slot slot;
    int level;
    std::size_t begin;
    std::size_t size;
  };

  void add(Slot slot, int level, std::span<const Slot> neighbours) {
    lists_.push_back({slot, level, neighbours_.size(), neighbours.size()});
    neighbours_.insert(neighbours_.end(), neighbours.begin(), neighbours.end());
  }
  std::span<const List> lists() const { return lists_; }
  std::span<const Slot> neighbours(const List& list) const {
    return std::span(neighbours_).subspan(list.begin, list.size);
  }

 private:
  std::vector<List> lists_;
  std::vector<Slot> neighbours_;
};

// Lists of at most 2 M neighbours on level 0 and M above it, as HNSW has them. A list on level 0 is
// a record of its slot; those above hang together, the one of level 1 first, since few slots have
// any.
// Threads: as a standard container.
class LinkLists {
 public:
  static constexpr Slot kNone = 0xFFFFFFFF;  // ends a list that is shorter than its record

  explicit LinkLists(std::size_t links)
      : links_(links),
        base_(2 * links * sizeof(Slot)),
        heads_(sizeof(std::uint32_t)),
        upper_((links + 1) * sizeof(Slot)) {}

  std::size_t max_neighbours(int level) const { return level == 0 ? 2 * links_ : links_; }
  std::size_t bytes_per_slot() const { return base_.record_bytes() + heads_.record_bytes(); }
  std::size_t upper_bytes() const { return used_upper_ * upper_.record_bytes(); }
  std::size_t free_upper() const { return free_upper_.size() + (upper_room_ - used_upper_); }

  void reserve(std::size_t slots) {
    base_.reserve(slots);
    heads_.reserve(slots);
  }
  // Makes sure that `count` lists above level 0 can be given out. Throws std::bad_alloc.
  void reserve_upper(std::size_t count) {
    if (free_upper() >= count) return;
    const std::size_t room = std::max(upper_room_ + upper_room_ / 2, upper_room_ + count);
    free_upper_.reserve(room);  // so that clear() cannot fail
    upper_.reserve(room);
    upper_room_ = room;
  }
  void reserve_free() { free_upper_.reserve(upper_room_); }  // as reserve_upper() does

  // Write to memory that make() will write to: of a slot that nobody has used, and of the next
  // lists above level 0. There must be room.
  void touch(Slot slot) noexcept {
    std::fill_n(base_list(slot), max_neighbours(0), kNone);
    head(slot) = 0;
  }
  void touch_upper(std::size_t count) noexcept {
    for (std::size_t i = 0; i < std::min(count, upper_room_ - used_upper_); ++i) {
      std::fill_n(upper_record(static_cast<std::uint32_t>(used_upper_ + i)), 1 + links_, kNone);
    }
  }

  // Empty lists for a slot that has none, up to `level`.
  void make(Slot slot, int level) noexcept {
    std::fill_n(base_list(slot), max_neighbours(0), kNone);
    std::uint32_t next = 0;
    for (int i = 0; i < level; ++i) {
      const std::uint32_t taken = take_upper();
      Slot* const record = upper_record(taken);
      record[0] = next;
      std::fill_n(record + 1, links_, kNone);
      next = taken + 1;
    }
    head(slot) = next;
  }
  // Gives back the lists above level 0.
  void clear(Slot slot) noexcept {
    for (std::uint32_t next = head(slot); next != 0;) {
      free_upper_.push_back(next - 1);
      next = upper_record(next - 1)[0];
    }
    head(slot) = 0;
  }

  const Slot* list(Slot slot, int level) const {
    if (level == 0) return base_list(slot);
    std::uint32_t number = head(slot);
    for (int i = 1; i < level; ++i) number = upper_record(number - 1)[0];
    return upper_record(number - 1) + 1;
  }
  std::span<const Slot> neighbours(Slot slot, int level) const {
    const Slot* const begin = list(slot, level);
    const Slot* const end = begin + max_neighbours(level);
    return {begin, std::find(begin, end, kNone)};
  }
  void set(Slot slot, int level, std::span<const Slot> neighbours) noexcept {
    auto* const to = const_cast<Slot*>(list(slot, level));
    std::copy(neighbours.begin(), neighbours.end(), to);
    std::fill(to + neighbours.size(), to + max_neighbours(level), kNone);
  }

  // For a snapshot: what it holds of `slots` slots, of which `upper` lists above level 0 were ever
  // given out. After they were filled, restore() takes those in `free` for given back.
  std::size_t used_upper() const { return used_upper_; }
  std::vector<Section> sections(std::size_t slots, std::size_t upper) {
    return {{"heads", &heads_, slots}, {"links", &base_, slots}, {"upper links", &upper_, upper}};
  }
  void restore(std::size_t upper, std::vector<std::uint32_t> free) {
    upper_room_ = std::max(upper_room_, upper);
    free.reserve(upper_room_);
    used_upper_ = upper;
    free_upper_ = std::move(free);
  }
  // Whether all neighbours on level 0 are other slots below `slots`. Looks at 32 million of them in
  // a hundredth of a second.
  bool are_below(Slot slot, std::size_t slots) const {
    const Slot* const list = base_list(slot);
    const auto end = static_cast<Slot>(slots);
    Slot wrong = 0;
    for (std::size_t i = 0; i < 2 * links_; ++i) {
      wrong |= static_cast<Slot>(list[i] + 1 > end) | static_cast<Slot>(list[i] == slot);
    }
    return wrong == 0;  // kNone + 1 is 0
  }
  // Marks the lists of `slot` above level 0 in `taken`, which has a bit for each that was given
  // out. False if they are not as many as its level says, or not its own.
  bool take_lists(Slot slot, int level, std::vector<bool>& taken) const {
    std::uint32_t next = head(slot);
    for (int i = 0; i < level; ++i) {
      if (next == 0 || next > taken.size() || taken[next - 1]) return false;
      taken[next - 1] = true;
      next = upper_record(next - 1)[0];
    }
    return next == 0;
  }

  void prefetch(Slot slot) const {
    const char* const from = reinterpret_cast<const char*>(base_list(slot));
    for (std::size_t i = 0; i < base_.record_bytes(); i += 64) __builtin_prefetch(from + i);
  }

 private:
  Slot* base_list(Slot slot) const { return reinterpret_cast<Slot*>(base_.at(slot)); }
  Slot* upper_record(std::uint32_t number) const {
    return reinterpret_cast<Slot*>(upper_.at(number));
  }
  std::uint32_t& head(Slot slot) const {
    return *reinterpret_cast<std::uint32_t*>(heads_.at(slot));
  }
  std::uint32_t take_upper() noexcept {
    if (free_upper_.empty()) return static_cast<std::uint32_t>(used_upper_++);
    const std::uint32_t taken = free_upper_.back();
    free_upper_.pop_back();
    return taken;
  }

  std::size_t links_;
  Arena base_;   // [2 M]
  Arena heads_;  // the number of the first list above level 0, plus 1; 0: none
  Arena upper_;  // the number of the next list, plus 1, and [M]
  std::size_t upper_room_ = 0;
  std::size_t used_upper_ = 0;
  std::vector<std::uint32_t> free_upper_;  // numbers below used_upper_
};

}  // namespace vsearch::index

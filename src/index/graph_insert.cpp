// How vectors enter the graph: some at a time.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "index/graph.h"
#include "util/parallel.h"

namespace vsearch::index {
namespace {

// Of the neighbours of a slot, one in so many may lie where it lies itself.
constexpr std::size_t kTwinShare = 4;

// One slot that another one is to link to.
struct BackLink {
  int level;
  Slot to;
  Slot from;

  friend bool operator<(const BackLink& a, const BackLink& b) {
    return std::tie(a.level, a.to, a.from) < std::tie(b.level, b.to, b.from);
  }
};

}  // namespace

// Levels are drawn as hnswlib does, from a generator of our own: its one may return infinity.
int Graph::draw_level() {
  std::uint64_t bits = ++levels_drawn_ * 0x9E3779B97F4A7C15U;  // splitmix64
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
  bits ^= bits >> 31;
  const double uniform = (static_cast<double>(bits >> 11) + 1.0) / 9007199254740992.0;  // (0, 1]
  return std::min(static_cast<int>(-std::log(uniform) * level_scale_), kMaxLevel);
}

std::size_t Graph::draw_levels(std::size_t count) {
  drawn_.reserve(count);
  while (drawn_.size() < count) drawn_.push_back(draw_level());
  std::size_t lists = 0;
  for (std::size_t i = 0; i < count; ++i) lists += static_cast<std::size_t>(drawn_[i]);
  return lists;
}

void Graph::select(std::span<const Candidate> candidates, float own, std::size_t most,
                   WalkMemory& memory, Selected& selected) const {
  // A list full of vectors equal to the centre would lead nowhere: a thousand of them would catch
  // every walk that meets one.
  const std::size_t most_twins = std::max<std::size_t>(1, most / kTwinShare);
  std::size_t twins = 0;
  std::vector<Candidate>& left = memory.left;
  left.clear();
  for (const Candidate& candidate : candidates) {
    if (candidate.distance != own || ++twins <= most_twins) left.push_back(candidate);
  }
  // Each one that is chosen strikes out those it is nearer to than the centre is, all at once: so
  // only what is chosen has to be made ready for comparing.
  memory.distances.resize(std::max(memory.distances.size(), candidates.size()));
  float* const distances = memory.distances.data();
  selected.clear();
  while (!left.empty()) {
    const Slot chosen = left.front().slot;
    selected.push_back(chosen);
    if (selected.size() == most) return;
    left.erase(left.begin());
    memory.met.clear();
    for (const Candidate& candidate : left) memory.met.push_back(candidate.slot);
    vectors_.prepare(chosen, memory.other);
    vectors_.near(memory.other, memory.met, distances);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (distances[i] >= left[i].distance) left[kept++] = left[i];
    }
    left.resize(kept);
  }
}

// HNSW's insertion (Algorithm 1) up to the links from the new slot. `levels`: its lists.
void Graph::plan_own_links(const Insertions& batch, std::size_t number, WalkMemory& memory,
                           std::vector<Selected>& levels) const {
  const Insertions::One& self = batch.each[number];
  vectors_.prepare(self.slot, memory.query);
  std::vector<Slot> mates;
  for (const Insertions::One& other : batch.each) mates.push_back(other.slot);
  std::vector<float> to_mates(mates.size());
  vectors_.near(memory.query, mates, to_mates.data());

  levels.resize(static_cast<std::size_t>(self.level) + 1);
  Slot start = entry_;
  if (live_ > 0) start = descend(top_level_, std::min(self.level, top_level_), entry_, memory);
  for (int level = self.level; level >= 0; --level) {
    std::vector<Candidate>& found = memory.found;
    found.clear();
    if (live_ > 0 && level <= top_level_) {
      walk_from(start, level, {build_breadth_}, memory);
      keep_live(memory.pool, build_breadth_, memory);
      if (!found.empty()) start = found.front().slot;
    }
    // Those that are far, too: among tight clusters, they are links to others.
    const auto met = static_cast<std::ptrdiff_t>(found.size());
    for (std::size_t i = 0; i < mates.size(); ++i) {
      if (i != number && batch.each[i].level >= level) found.push_back({to_mates[i], mates[i]});
    }
    std::sort(found.begin() + met, found.end());
    std::inplace_merge(found.begin(), found.begin() + met, found.end());
    // The slot itself is met when it is in the graph already.
    std::erase_if(found, [&](const Candidate& candidate) { return candidate.slot == self.slot; });
    select(found, to_mates[number], links_.max_neighbours(1), memory,
           levels[static_cast<std::size_t>(level)]);
  }
}

// `list` holds the neighbours of `to`; those of `from` join it, and it is pruned if it grows too
// long.
void Graph::plan_back_links(Slot to, int level, std::span<const Slot> from, WalkMemory& memory,
                            Selected& list) const {
  for (const Slot slot : from) {
    if (std::find(list.begin(), list.end(), slot) == list.end()) list.push_back(slot);
  }
  if (list.size() <= links_.max_neighbours(level)) return;
  vectors_.prepare(to, memory.query);
  memory.distances.resize(std::max(memory.distances.size(), list.size()));
  vectors_.near(memory.query, list, memory.distances.data());
  memory.found.clear();
  for (std::size_t i = 0; i < list.size(); ++i) {
    memory.found.push_back({memory.distances[i], list[i]});
  }
  std::sort(memory.found.begin(), memory.found.end());
  float own = 0;
  vectors_.near(memory.query, {&to, 1}, &own);
  select(memory.found, own, links_.max_neighbours(level), memory, list);
}

Insertions Graph::plan_insert(std::span<const std::span<const float>> rows, std::span<const Id> ids,
                              std::size_t threads) {
  Insertions batch;
  std::size_t upper = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) upper += static_cast<std::size_t>(drawn_[i]);
  links_.touch_upper(upper);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Slot slot = i < free_.size() ? free_[free_.size() - 1 - i]
                                       : static_cast<Slot>(slots_ + i - free_.size());
    vectors_.write(slot, rows[i]);
    if (slot >= slots_) {
      // Memory that was never used is taken from the system now, and not while searches wait.
      set_id(slot, ids[i]);
      node(slot) = {SlotState::kFree, 0};
      links_.touch(slot);
    }
    batch.each.push_back({slot, ids[i], drawn_[i]});
  }
  std::vector<std::vector<Selected>> own(rows.size());
  util::share(rows.size(), threads, [&](const auto& next) {
    const WalkMemories::Lease memory(memories_);
    while (const std::optional<std::size_t> i = next()) {
      plan_own_links(batch, *i, *memory, own[*i]);
    }
  });

  std::vector<BackLink> back;
  for (std::size_t i = 0; i < own.size(); ++i) {
    for (std::size_t level = 0; level < own[i].size(); ++level) {
      for (const Slot to : own[i][level]) {
        back.push_back({static_cast<int>(level), to, batch.each[i].slot});
      }
    }
  }
  std::sort(back.begin(), back.end());
  struct Group {
    std::size_t begin;
    std::size_t end;
    Selected* own;  // the list of a slot in this batch
    Selected list;  // of another one
  };
  std::vector<Group> groups;
  for (std::size_t begin = 0, end = 0; begin < back.size(); begin = end) {
    while (end < back.size() && back[end].to == back[begin].to &&
           back[end].level == back[begin].level) {
      ++end;
    }
    const auto mate = std::find_if(batch.each.begin(), batch.each.end(),
                                   [&](const auto& one) { return one.slot == back[begin].to; });
    Selected* list = nullptr;
    if (mate != batch.each.end()) {
      list = &own[static_cast<std::size_t>(mate - batch.each.begin())]
                 [static_cast<std::size_t>(back[begin].level)];
    }
    groups.push_back({begin, end, list, {}});
  }
  util::share(groups.size(), threads, [&](const auto& next) {
    const WalkMemories::Lease memory(memories_);
    std::vector<Slot> from;
    while (const std::optional<std::size_t> i = next()) {
      Group& group = groups[*i];
      const BackLink& first = back[group.begin];
      from.clear();
      for (std::size_t b = group.begin; b < group.end; ++b) from.push_back(back[b].from);
      if (group.own == nullptr) {
        const std::span<const Slot> present = links_.neighbours(first.to, first.level);
        group.list.assign(present.begin(), present.end());
      }
      plan_back_links(first.to, first.level, from, *memory,
                      group.own != nullptr ? *group.own : group.list);
    }
  });

  for (std::size_t i = 0; i < own.size(); ++i) {
    for (std::size_t level = 0; level < own[i].size(); ++level) {
      batch.own.add(batch.each[i].slot, static_cast<int>(level), own[i][level]);
    }
  }
  for (const Group& group : groups) {
    if (group.own != nullptr) continue;
    batch.links.add(back[group.begin].to, back[group.begin].level, group.list);
  }
  return batch;
}

LinkChanges Graph::plan_reconnect(Slot slot) {
  Insertions alone;
  alone.each.push_back({slot, id(slot), level(slot)});
  const WalkMemories::Lease memory(memories_);
  std::vector<Selected> levels;
  plan_own_links(alone, 0, *memory, levels);
  LinkChanges changes;
  for (std::size_t at = 0; at < levels.size(); ++at) {
    if (levels[at].empty()) continue;
    changes.add(slot, static_cast<int>(at), levels[at]);
    for (const Slot to : levels[at]) {
      const std::span<const Slot> present = links_.neighbours(to, static_cast<int>(at));
      Selected list(present.begin(), present.end());
      plan_back_links(to, static_cast<int>(at), {&slot, 1}, *memory, list);
      changes.add(to, static_cast<int>(at), list);
    }
  }
  return changes;
}

void Graph::commit_nodes(const Insertions& insertions) noexcept {
  for (const Insertions::One& one : insertions.each) {
    if (!free_.empty()) {
      free_.pop_back();
    } else {
      ++slots_;
    }
    set_id(one.slot, one.id);
    node(one.slot) = {SlotState::kLive, static_cast<std::uint8_t>(one.level)};
    links_.make(one.slot, one.level);
    // A walk goes on from its start on all levels below.
    if (live_ == 0 || one.level > top_level_) {
      entry_ = one.slot;
      top_level_ = one.level;
    }
    ++live_;
  }
  commit(insertions.own);
  drawn_.erase(drawn_.begin(),
               drawn_.begin() + static_cast<std::ptrdiff_t>(insertions.each.size()));
}

}  // namespace vsearch::index

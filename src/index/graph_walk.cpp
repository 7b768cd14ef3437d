// How the graph is walked.
#include <algorithm>

#include "index/graph.h"

namespace vsearch::index {
namespace {

// Candidates that are expanded together: while the vectors of one's neighbours come from memory,
// those of the others come too.
constexpr std::size_t kTogether = 4;

}  // namespace

// Walks greedily from `start` on `from_level` to the level above `to_level`.
Slot Graph::descend(int from_level, int to_level, Slot start, WalkMemory& memory) const {
  Slot nearest = start;
  float distance = 0;
  vectors_.near(memory.query, {&start, 1}, &distance);
  ++memory.report.distances;
  for (int level = from_level; level > to_level; --level) {
    for (bool moved = true; moved;) {
      moved = false;
      const std::span<const Slot> list = links_.neighbours(nearest, level);
      for (const Slot slot : list) vectors_.prefetch(slot);
      memory.distances.resize(std::max(memory.distances.size(), list.size()));
      vectors_.near(memory.query, list, memory.distances.data());
      memory.report.distances += list.size();
      ++memory.report.expanded;
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (memory.distances[i] < distance) {
          distance = memory.distances[i];
          nearest = list[i];
          moved = true;
        }
      }
    }
  }
  return nearest;
}

// Fills memory.pool, removed slots included.
void Graph::walk_level(Slot start, int level, std::size_t breadth, WalkMemory& memory) const {
  Pool& pool = memory.pool;
  Visited& visited = memory.visited;
  const std::size_t most = links_.max_neighbours(level);
  memory.met.reserve(kTogether * most);
  memory.distances.resize(std::max(memory.distances.size(), kTogether * most));
  float* const distances = memory.distances.data();
  pool.begin(breadth);
  visited.begin(slots_);
  visited.insert(start);
  vectors_.near(memory.query, {&start, 1}, distances);
  pool.offer(distances[0], start);
  for (;;) {
    memory.expanded.clear();
    pool.take(kTogether, memory.expanded);
    if (memory.expanded.empty()) return;
    memory.met.clear();
    for (const Slot slot : memory.expanded) {
      const Slot* const list = links_.list(slot, level);
      for (std::size_t i = 0; i < most && list[i] != LinkLists::kNone; ++i) {
        if (visited.insert(list[i])) memory.met.push_back(list[i]);
      }
    }
    offer_met(memory);
    // What will most likely be expanded next.
    for (std::size_t i = 0; i < std::min(kTogether, pool.size()); ++i) {
      if (level == 0) links_.prefetch(pool.slot(i));
    }
  }
}

// Offers the slots in memory.met to memory.pool.
void Graph::offer_met(WalkMemory& memory) const {
  memory.distances.resize(std::max(memory.distances.size(), memory.met.size()));
  float* const distances = memory.distances.data();
  for (const Slot slot : memory.met) vectors_.prefetch(slot);
  vectors_.near(memory.query, memory.met, distances);
  memory.report.distances += memory.met.size();
  memory.report.expanded += memory.expanded.size();
  for (std::size_t i = 0; i < memory.met.size(); ++i) {
    memory.pool.offer(distances[i], memory.met[i]);
  }
}

// Fills memory.found with the `count` nearest live slots of the pool.
void Graph::keep_live(std::size_t count, WalkMemory& memory) const {
  memory.found.clear();
  for (std::size_t i = 0; i < memory.pool.size() && memory.found.size() < count; ++i) {
    const Slot slot = memory.pool.slot(i);
    if (state(slot) == SlotState::kLive) memory.found.push_back({memory.pool.distance(i), slot});
  }
}

void Graph::walk(std::size_t breadth, const SlotFilter* filter, WalkMemory& memory) const {
  memory.found.clear();
  if (live_ == 0) return;
  const Slot start = descend(top_level_, 0, entry_, memory);
  if (filter != nullptr) {
    walk_filtered(start, breadth, *filter, memory);
    return;
  }
  // Removed slots take places in the pool: as many as there are of them, on average.
  const std::size_t more = std::min(breadth, breadth * removed_ / live_ + (removed_ > 0 ? 1 : 0));
  walk_level(start, 0, breadth + more, memory);
  keep_live(breadth, memory);
}

// Appends to memory.met the neighbours of `from` that match, and of those that do not match their
// neighbours that do, until there are `enough`.
void Graph::meet(const SlotFilter& filter, Slot from, std::size_t enough,
                 WalkMemory& memory) const {
  Visited& visited = memory.visited;
  std::vector<Slot>& bridges = memory.bridges;
  bridges.clear();
  for (const Slot slot : links_.neighbours(from, 0)) {
    if (!visited.insert(slot)) continue;
    (matches(filter, slot) ? memory.met : bridges).push_back(slot);
  }
  for (const Slot bridge : bridges) links_.prefetch(bridge);
  for (const Slot bridge : bridges) {
    if (memory.met.size() >= enough) return;
    for (const Slot slot : links_.neighbours(bridge, 0)) {
      if (matches(filter, slot) && visited.insert(slot)) memory.met.push_back(slot);
    }
  }
}

// Whether of the neighbours of `start` and theirs a quarter as many match as of all, at least.
bool Graph::matches_around(const SlotFilter& filter, Slot start) const {
  std::size_t looked_at = 0;
  std::size_t matching = 0;
  for (const Slot near : links_.neighbours(start, 0)) {
    for (const Slot slot : links_.neighbours(near, 0)) {
      ++looked_at;
      matching += matches(filter, slot) ? 1 : 0;
    }
  }
  return 4.0 * static_cast<double>(matching) >= filter.share * static_cast<double>(looked_at);
}

// Walks what matches only, over bridges of one slot that does not, as ACORN does (Patel et al.,
// SIGMOD 2024).
void Graph::walk_filtered(Slot start, std::size_t breadth, const SlotFilter& filter,
                          WalkMemory& memory) const {
  memory.found.clear();
  if (!matches_around(filter, start)) return;
  Pool& pool = memory.pool;
  const std::size_t enough = links_.max_neighbours(0);
  pool.begin(breadth);
  memory.visited.begin(slots_);
  memory.visited.insert(start);
  memory.met.clear();
  if (matches(filter, start)) memory.met.push_back(start);
  for (const Slot seed : filter.seeds) {
    if (memory.visited.insert(seed)) memory.met.push_back(seed);
  }
  meet(filter, start, memory.met.size() + enough, memory);
  offer_met(memory);
  for (;;) {
    memory.expanded.clear();
    pool.take(kTogether, memory.expanded);
    if (memory.expanded.empty()) break;
    memory.met.clear();
    for (const Slot slot : memory.expanded) {
      meet(filter, slot, memory.met.size() + enough, memory);
    }
    offer_met(memory);
  }
  keep_live(breadth, memory);
}

}  // namespace vsearch::index

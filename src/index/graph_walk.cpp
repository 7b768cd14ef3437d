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
  for (int level = from_level; level > to_level; --level) {
    for (bool moved = true; moved;) {
      moved = false;
      const std::span<const Slot> list = links_.neighbours(nearest, level);
      for (const Slot slot : list) vectors_.prefetch(slot);
      memory.distances.resize(std::max(memory.distances.size(), list.size()));
      vectors_.near(memory.query, list, memory.distances.data());
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
    for (const Slot slot : memory.met) vectors_.prefetch(slot);
    vectors_.near(memory.query, memory.met, distances);
    for (std::size_t i = 0; i < memory.met.size(); ++i) pool.offer(distances[i], memory.met[i]);
    // What will most likely be expanded next.
    for (std::size_t i = 0; i < std::min(kTogether, pool.size()); ++i) {
      if (level == 0) links_.prefetch(pool.slot(i));
    }
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

void Graph::walk(std::size_t breadth, const std::function<bool(Slot)>* filter,
                 WalkMemory& memory) const {
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

// Goes on through slots that do not match, until what is left is farther than `breadth` that do.
void Graph::walk_filtered(Slot start, std::size_t breadth, const std::function<bool(Slot)>& filter,
                          WalkMemory& memory) const {
  const auto farther = [](const Candidate& a, const Candidate& b) { return b < a; };
  const auto matches = [&](Slot slot) { return state(slot) == SlotState::kLive && filter(slot); };
  std::vector<Candidate>& found = memory.found;  // a heap, the farthest first
  std::vector<Candidate> open;                   // a heap, the nearest first
  memory.distances.resize(std::max(memory.distances.size(), links_.max_neighbours(0)));
  float* const distances = memory.distances.data();
  const auto offer = [&](float distance, Slot slot) {
    if (found.size() == breadth && !(distance < found.front().distance)) return;
    open.push_back({distance, slot});
    std::push_heap(open.begin(), open.end(), farther);
    if (!matches(slot)) return;
    found.push_back({distance, slot});
    std::push_heap(found.begin(), found.end());
    if (found.size() <= breadth) return;
    std::pop_heap(found.begin(), found.end());
    found.pop_back();
  };
  memory.visited.begin(slots_);
  memory.visited.insert(start);
  vectors_.near(memory.query, {&start, 1}, distances);
  offer(distances[0], start);
  while (!open.empty()) {
    std::pop_heap(open.begin(), open.end(), farther);
    const Candidate nearest = open.back();
    open.pop_back();
    if (found.size() == breadth && nearest.distance > found.front().distance) break;
    memory.met.clear();
    for (const Slot slot : links_.neighbours(nearest.slot, 0)) {
      if (memory.visited.insert(slot)) memory.met.push_back(slot);
    }
    for (const Slot slot : memory.met) vectors_.prefetch(slot);
    vectors_.near(memory.query, memory.met, distances);
    for (std::size_t i = 0; i < memory.met.size(); ++i) offer(distances[i], memory.met[i]);
  }
  std::sort_heap(found.begin(), found.end());
}

}  // namespace vsearch::index

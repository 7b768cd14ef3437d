// How the graph is walked.
#include <algorithm>

#include "index/graph.h"

namespace vsearch::index {
namespace {

// Steps that take turns in all: as many as memory can serve at once.
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

// Lets a step go on until it waits for memory. False when its walk has no candidate for it now.
bool Graph::advance(Step& step, int level, const SlotFilter* filter) const {
  WalkMemory& memory = *step.walk;
  if (step.waits == Step::Waits::kLinks) {
    step.met.clear();
    if (filter == nullptr) {
      meet(step.from, level, memory.visited, step.met);
    } else {
      meet_matching(*filter, step.from, memory, step.met);
    }
    for (const Slot slot : step.met) vectors_.prefetch(slot);
    step.waits = Step::Waits::kVectors;
    return true;
  }
  if (step.waits == Step::Waits::kVectors) offer(step.met, memory);
  const std::optional<Slot> next = memory.pool.take();
  step.waits = next ? Step::Waits::kLinks : Step::Waits::kNothing;
  if (!next) return false;
  step.from = *next;
  ++memory.report.expanded;
  if (level == 0) links_.prefetch(step.from);
  return true;
}

// Walks on from what is in the pools of `walks`, until they have expanded all that they hold.
void Graph::walk_level(std::span<WalkMemory* const> walks, int level,
                       const SlotFilter* filter) const {
  std::vector<Step>& steps = walks.front()->steps;
  steps.resize(std::max(kTogether, walks.size()));
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].walk = walks[i % walks.size()];
    steps[i].waits = Step::Waits::kNothing;
  }
  for (bool walking = true; walking;) {
    walking = false;
    for (Step& step : steps) walking |= advance(step, level, filter);
  }
}

// Fills memory.pool, removed slots included.
void Graph::walk_from(Slot start, int level, std::size_t breadth, WalkMemory& memory) const {
  begin(breadth, {&start, 1}, memory);
  WalkMemory* const alone = &memory;
  walk_level({&alone, 1}, level, nullptr);
}

// Empties the pool and offers it slots to start from.
void Graph::begin(std::size_t breadth, std::span<const Slot> starts, WalkMemory& memory) const {
  memory.pool.begin(breadth);
  memory.visited.begin(slots_);
  memory.met.resize(starts.size());
  memory.met.resize(memory.visited.insert(starts, memory.met.data()));
  for (const Slot slot : memory.met) vectors_.prefetch(slot);
  offer(memory.met, memory);
}

void Graph::offer(std::span<const Slot> met, WalkMemory& memory) const {
  memory.distances.resize(std::max(memory.distances.size(), met.size()));
  float* const distances = memory.distances.data();
  vectors_.near(memory.query, met, distances);
  memory.report.distances += met.size();
  for (std::size_t i = 0; i < met.size(); ++i) memory.pool.offer(distances[i], met[i]);
}

// Fills memory.found with the `count` nearest live slots of the pool.
void Graph::keep_live(std::size_t count, WalkMemory& memory) const {
  memory.found.clear();
  for (std::size_t i = 0; i < memory.pool.size() && memory.found.size() < count; ++i) {
    const Slot slot = memory.pool.slot(i);
    if (state(slot) == SlotState::kLive) memory.found.push_back({memory.pool.distance(i), slot});
  }
}

void Graph::walk(std::size_t breadth, const SlotFilter* filter,
                 std::span<WalkMemory* const> walks) const {
  for (WalkMemory* const memory : walks) memory->found.clear();
  if (live_ == 0) return;
  // Removed slots take places in the pool: as many as there are of them, on average.
  const std::size_t more = std::min(breadth, breadth * removed_ / live_ + (removed_ > 0 ? 1 : 0));
  for (WalkMemory* const memory : walks) {
    const Slot start = descend(top_level_, 0, entry_, *memory);
    if (filter == nullptr) {
      begin(breadth + more, {&start, 1}, *memory);
    } else {
      begin_filtered(breadth, start, *filter, *memory);
    }
  }
  walk_level(walks, 0, filter);
  for (WalkMemory* const memory : walks) keep_live(breadth, *memory);
}

// Puts the neighbours of `from` that were not met before into `met`, which is empty.
void Graph::meet(Slot from, int level, Visited& visited, std::vector<Slot>& met) const {
  const std::span<const Slot> list = links_.neighbours(from, level);
  met.resize(list.size());
  met.resize(visited.insert(list, met.data()));
}

// Puts the neighbours of `from` that match into `met`, and of those that do not match their
// neighbours that do, until there are as many as a slot has neighbours.
void Graph::meet_matching(const SlotFilter& filter, Slot from, WalkMemory& memory,
                          std::vector<Slot>& met) const {
  const std::size_t enough = links_.max_neighbours(0);
  Visited& visited = memory.visited;
  std::vector<Slot>& bridges = memory.bridges;
  bridges.clear();
  for (const Slot slot : links_.neighbours(from, 0)) {
    if (!visited.insert(slot)) continue;
    (matches(filter, slot) ? met : bridges).push_back(slot);
  }
  for (const Slot bridge : bridges) links_.prefetch(bridge);
  for (const Slot bridge : bridges) {
    if (met.size() >= enough) return;
    for (const Slot slot : links_.neighbours(bridge, 0)) {
      if (matches(filter, slot) && visited.insert(slot)) met.push_back(slot);
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
void Graph::begin_filtered(std::size_t breadth, Slot start, const SlotFilter& filter,
                           WalkMemory& memory) const {
  if (!matches_around(filter, start)) {
    begin(breadth, {}, memory);
    return;
  }
  begin(breadth, filter.seeds, memory);
  memory.met.clear();
  meet_matching(filter, start, memory, memory.met);
  if (matches(filter, start) && memory.visited.insert(start)) memory.met.push_back(start);
  offer(memory.met, memory);
}

}  // namespace vsearch::index

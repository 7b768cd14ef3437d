// How the graph is walked.
#include <algorithm>

#include "index/graph.h"

namespace vsearch::index {
namespace {

// Of the slots around the query, so large a share has to match for a walk to pass through all. With
// fewer it goes from match to match, which takes longer for each.
constexpr double kDense = 0.05;
// Where it is so many times less than that of all, the query is far from everything that matches.
constexpr double kFar = 2.0;
// How many candidates such a walk may keep for each match that is wanted.
constexpr std::size_t kCandidatesPerMatch = 24;

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
      for (const Slot slot : list) vectors_.prefetch(memory.query, slot);
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

// Lets a step go on until it waits for memory. False when there is no candidate for it now.
bool Graph::advance(Step& step, const Terms& terms, WalkMemory& memory) const {
  if (step.waits == Step::Waits::kLinks) {
    step.met.clear();
    if (terms.passes == Passes::kMatching) {
      meet_matching(*terms.filter, step.from, memory, step.met);
    } else {
      meet(step.from, terms.level, memory.visited, step.met);
    }
    for (const Slot slot : step.met) vectors_.prefetch(memory.query, slot);
    step.waits = Step::Waits::kVectors;
    return true;
  }
  if (step.waits == Step::Waits::kVectors) offer(step.met, terms, memory);
  const std::optional<Slot> next = memory.pool.take();
  step.waits = next ? Step::Waits::kLinks : Step::Waits::kNothing;
  if (!next) return false;
  step.from = *next;
  ++memory.report.expanded;
  if (terms.level == 0) links_.prefetch(step.from);
  return true;
}

// Walks on from what is in the pool, until all that it holds is expanded.
void Graph::walk_on(const Terms& terms, WalkMemory& memory) const {
  for (Step& step : memory.steps) step.waits = Step::Waits::kNothing;
  for (bool walking = true; walking;) {
    walking = false;
    for (Step& step : memory.steps) walking |= advance(step, terms, memory);
  }
}

// Fills memory.pool, removed slots included.
void Graph::walk_from(Slot start, int level, const Effort& effort, WalkMemory& memory) const {
  memory.pool.begin(effort, origin());
  memory.visited.begin(slots_);
  memory.visited.insert(start);
  const Terms terms{level};
  offer({&start, 1}, terms, memory);
  walk_on(terms, memory);
}

void Graph::offer(std::span<const Slot> met, const Terms& terms, WalkMemory& memory) const {
  memory.distances.resize(std::max(memory.distances.size(), met.size()));
  float* const distances = memory.distances.data();
  vectors_.near(memory.query, met, distances);
  memory.report.distances += met.size();
  for (std::size_t i = 0; i < met.size(); ++i) memory.pool.offer(distances[i], met[i]);
  if (terms.passes != Passes::kAllForMatching) return;
  for (std::size_t i = 0; i < met.size(); ++i) {
    if (distances[i] < memory.matching.limit() && matches(*terms.filter, met[i])) {
      memory.matching.offer(distances[i], met[i]);
    }
  }
  memory.pool.bound(memory.matching.limit());
}

void Graph::keep_live(const Pool& pool, std::size_t count, WalkMemory& memory) const {
  memory.found.clear();
  for (std::size_t i = 0; i < pool.size() && memory.found.size() < count; ++i) {
    const Slot slot = pool.slot(i);
    if (state(slot) == SlotState::kLive) memory.found.push_back({pool.distance(i), slot});
  }
}

void Graph::walk(const Effort& effort, const SlotFilter* filter, WalkMemory& memory) const {
  memory.found.clear();
  if (live_ == 0) return;
  const Slot start = descend(top_level_, 0, entry_, memory);
  if (filter != nullptr) {
    walk_filtered(start, effort, *filter, memory);
    return;
  }
  // Removed slots take places in the pool: as many as there are of them, on average.
  Effort with_removed = effort;
  if (removed_ > 0) {
    with_removed.breadth += std::min(effort.breadth, effort.breadth * removed_ / live_ + 1);
    if (effort.nearest > 0) with_removed.nearest += effort.nearest * removed_ / live_ + 1;
  }
  walk_from(start, 0, with_removed, memory);
  keep_live(memory.pool, effort.breadth, memory);
}

void Graph::walk_filtered(Slot start, const Effort& effort, const SlotFilter& filter,
                          WalkMemory& memory) const {
  const double share = share_around(filter, start);
  if (kFar * share < filter.share) return;
  memory.visited.begin(slots_);
  if (share >= kDense) {
    const Terms terms{0, Passes::kAllForMatching, &filter};
    memory.pool.begin({kCandidatesPerMatch * effort.expected}, origin());
    memory.matching.begin(effort, origin());
    memory.visited.insert(start);
    offer({&start, 1}, terms, memory);
    walk_on(terms, memory);
    keep_live(memory.matching, effort.breadth, memory);
    return;
  }
  const Terms terms{0, Passes::kMatching, &filter};
  memory.pool.begin(effort, origin());
  memory.met.resize(filter.seeds.size());
  memory.met.resize(memory.visited.insert(filter.seeds, memory.met.data()));
  meet_matching(filter, start, memory, memory.met);
  if (matches(filter, start) && memory.visited.insert(start)) memory.met.push_back(start);
  for (const Slot slot : memory.met) vectors_.prefetch(memory.query, slot);
  offer(memory.met, terms, memory);
  walk_on(terms, memory);
  keep_live(memory.pool, effort.breadth, memory);
}

// Puts the neighbours of `from` that were not met before into `met`, which is empty.
void Graph::meet(Slot from, int level, Visited& visited, std::vector<Slot>& met) const {
  const std::span<const Slot> list = links_.neighbours(from, level);
  met.resize(list.size());
  met.resize(visited.insert(list, met.data()));
}

// Appends the neighbours of `from` that match to `met`, and of those that do not match their
// neighbours that do, until there are as many as a slot has neighbours: bridges of one slot, as
// ACORN has them (Patel et al., SIGMOD 2024).
void Graph::meet_matching(const SlotFilter& filter, Slot from, WalkMemory& memory,
                          std::vector<Slot>& met) const {
  const std::size_t enough = links_.max_neighbours(0);
  const std::size_t before = met.size();
  Visited& visited = memory.visited;
  std::vector<Slot>& bridges = memory.bridges;
  bridges.clear();
  for (const Slot slot : links_.neighbours(from, 0)) {
    if (!visited.insert(slot)) continue;
    (matches(filter, slot) ? met : bridges).push_back(slot);
  }
  for (const Slot bridge : bridges) links_.prefetch(bridge);
  for (const Slot bridge : bridges) {
    if (met.size() - before >= enough) return;
    for (const Slot slot : links_.neighbours(bridge, 0)) {
      if (matches(filter, slot) && visited.insert(slot)) met.push_back(slot);
    }
  }
}

// The share of those that match among the neighbours of the neighbours of `start`.
double Graph::share_around(const SlotFilter& filter, Slot start) const {
  std::size_t looked_at = 0;
  std::size_t matching = 0;
  for (const Slot near : links_.neighbours(start, 0)) {
    for (const Slot slot : links_.neighbours(near, 0)) {
      ++looked_at;
      matching += matches(filter, slot) ? 1 : 0;
    }
  }
  return looked_at == 0 ? 1.0 : static_cast<double>(matching) / static_cast<double>(looked_at);
}

}  // namespace vsearch::index

// How slots of removed vectors become free again.
#include <algorithm>

#include "index/graph.h"

namespace vsearch::index {
namespace {

// A repair begins when one slot in this many is removed.
constexpr std::size_t kRepairShare = 32;

// Of what lies behind removed neighbours, so many, the nearest, are tried. Ten turnovers of 9,000
// patch tokens of 384 dimensions: with 8 of them recall at a breadth of 24 is .949, with 16 .953,
// with 32 .955, and of a fresh graph .957; a removal costs .6, .95 and 1.3 times an insertion.
constexpr std::size_t kTried = 16;

// Above level 0, robust pruning's alpha of 1.2, squared because the distances are (1 - cosine is
// one too, for unit vectors). It keeps more of the long links that lead from cluster to cluster:
// when whole clusters go, walks do not reach every fiftieth to seventieth of those that stay
// without it, and one in 300 with it.
constexpr float kSlackAbove = 1.44F;

}  // namespace

RepairStep Graph::plan_repair(std::size_t count) {
  RepairStep step;
  if (!repairing_) {
    if (removed_ == 0 || removed_ * kRepairShare < slots()) return step;
    begin_repair();
  }
  PlannedLists planned;
  step.end = std::min(repair_next_ + count, slots());
  for (std::size_t i = repair_next_; i < step.end; ++i) {
    const auto slot = static_cast<Slot>(i);
    if (state(slot) == SlotState::kFree || (slot < retiring_.size() && retiring_[slot])) continue;
    bool connected = true;
    for (int at = 0; at <= level(slot); ++at) connected &= plan_repaired_list(slot, at, planned);
    if (!connected && state(slot) == SlotState::kLive) step.stranded.push_back(slot);
  }
  for (const auto& [place, list] : planned) step.changes.add(place.first, place.second, list);
  return step;
}

void Graph::begin_repair() {
  std::vector<bool> retiring(slots());
  for (std::size_t slot = 0; slot < slots(); ++slot) {
    retiring[slot] = state(static_cast<Slot>(slot)) == SlotState::kRemoved;
  }
  retiring_ = std::move(retiring);
  repair_next_ = 0;
  repairing_ = true;
}

// Whether a candidate is nearer to its centre than to any of `kept`, with some slack.
bool Graph::is_diverse(const Candidate& candidate, std::span<const Slot> kept, float slack,
                       WalkMemory& memory) const {
  constexpr std::size_t kTogether = 4;  // most are refused by one of the first
  float distances[kTogether];
  vectors_.prepare(candidate.slot, memory.other);
  for (std::size_t begin = 0; begin < kept.size(); begin += kTogether) {
    const auto part = kept.subspan(begin, std::min(kTogether, kept.size() - begin));
    vectors_.near(memory.other, part, distances);
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (slack * distances[i] < candidate.distance) return false;
    }
  }
  return true;
}

// Keeps the live neighbours and fills the places of the removed ones with what lies behind them,
// the nearest first, each if it is nearer to `slot` than to every neighbour so far: HNSW's rule.
// With slack in it on level 0, as FreshDiskANN has, lists fill with neighbours that are near each
// other, and after ten turnovers a point and a half of recall is lost. False if too few are left to
// hold the slot in the graph.
bool Graph::plan_repaired_list(Slot slot, int level, PlannedLists& planned) {
  const auto list = [&](Slot of) -> std::span<const Slot> {
    const auto found = planned.find({of, level});
    return found == planned.end() ? neighbours(of, level) : std::span<const Slot>(found->second);
  };
  const std::span<const Slot> present = list(slot);
  const auto retires = [&](Slot other) { return other < retiring_.size() && retiring_[other]; };
  if (std::none_of(present.begin(), present.end(), retires)) return true;

  Selected kept;
  std::vector<Slot> behind;
  for (const Slot neighbour : present) {
    if (state(neighbour) == SlotState::kLive) {
      kept.push_back(neighbour);
      continue;
    }
    for (const Slot other : neighbours(neighbour, level)) {
      if (other != slot && state(other) == SlotState::kLive) behind.push_back(other);
    }
  }
  std::sort(behind.begin(), behind.end());
  behind.erase(std::unique(behind.begin(), behind.end()), behind.end());
  const WalkMemories::Lease memory(memories_);
  std::vector<float> distances(std::max(behind.size(), max_neighbours(level)));
  vectors_.prepare(slot, memory->query);
  vectors_.near(memory->query, behind, distances.data());
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < behind.size(); ++i) candidates.push_back({distances[i], behind[i]});
  std::sort(candidates.begin(), candidates.end());
  candidates.resize(std::min(candidates.size(), kTried));
  const std::size_t most = present.size();
  const float slack = level > 0 ? kSlackAbove : 1.0F;
  for (const Candidate& candidate : candidates) {
    if (kept.size() >= most) break;
    if (std::find(kept.begin(), kept.end(), candidate.slot) != kept.end()) continue;
    if (!is_diverse(candidate, kept, slack, *memory)) continue;
    kept.push_back(candidate.slot);
    // And back, where there is room, so that slots do not lose what leads to them.
    const std::span<const Slot> theirs = list(candidate.slot);
    if (theirs.size() < max_neighbours(level) &&
        std::find(theirs.begin(), theirs.end(), slot) == theirs.end()) {
      Selected longer(theirs.begin(), theirs.end());
      longer.push_back(slot);
      planned[{candidate.slot, level}] = std::move(longer);
    }
  }
  planned[{slot, level}] = kept;
  return level > 0 ? !kept.empty() : kept.size() >= max_neighbours(1) / 4;
}

void Graph::commit(const RepairStep& step) noexcept {
  commit(step.changes);
  repair_next_ = step.end;
  if (repairing_ && repair_next_ >= slots()) free_retiring();
}

void Graph::free_retiring() noexcept {
  for (Slot slot = 0; slot < retiring_.size(); ++slot) {
    if (!retiring_[slot]) continue;
    links_.clear(slot);
    node(slot) = {SlotState::kFree, 0};
    free_.push_back(slot);
    --removed_;
  }
  retiring_.clear();
  repairing_ = false;
  layout_ = next_layout();
}

}  // namespace vsearch::index

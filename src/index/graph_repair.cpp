// How slots of removed vectors become free again.
#include <algorithm>

#include "index/graph.h"

namespace vsearch::index {
namespace {

// A repair begins when one slot in this many is removed.
constexpr std::size_t kRepairShare = 8;

// Robust pruning's alpha of 1.2, squared because the distances are (1 - cosine is one too, for unit
// vectors). It keeps some longer links. With 1, as in HNSW's heuristic, walks among tight clusters
// lose their way: after four turnovers of 10,000 x 64 vectors in 100 clusters, 1.1 % of the queries
// did not reach their cluster; with 1.2 all did.
constexpr float kSlack = 1.44F;

}  // namespace

RepairStep Graph::plan_repair(std::size_t count) {
  RepairStep step;
  if (!repairing_) {
    if (removed_ == 0 || removed_ * kRepairShare < slots()) return step;
    begin_repair();
  }
  step.end = std::min(repair_next_ + count, slots());
  for (std::size_t i = repair_next_; i < step.end; ++i) {
    const auto slot = static_cast<Slot>(i);
    if (states_[slot] == SlotState::kFree || (slot < retiring_.size() && retiring_[slot])) continue;
    bool connected = true;
    for (int at = 0; at <= level(slot); ++at) {
      connected &= plan_repaired_list(slot, at, step.changes);
    }
    if (!connected && states_[slot] == SlotState::kLive) step.stranded.push_back(slot);
  }
  return step;
}

void Graph::begin_repair() {
  std::vector<bool> retiring(slots());
  for (std::size_t slot = 0; slot < slots(); ++slot) {
    retiring[slot] = states_[slot] == SlotState::kRemoved;
  }
  free_.reserve(free_.size() + removed_);  // so that finishing cannot fail
  retiring_ = std::move(retiring);
  repair_next_ = 0;
  repairing_ = true;
}

// Keeps the live neighbours and fills the places of the removed ones with what lies behind them,
// the nearest first, each if it is nearer to `slot` than to every neighbour so far, with some
// slack. Choosing all neighbours anew instead costs half a point of recall (10,000 x 64 vectors,
// five turnovers). False if too few are left to hold the slot in the graph.
bool Graph::plan_repaired_list(Slot slot, int level, LinkChanges& changes) {
  const std::span<const Slot> present = neighbours(slot, level);
  const auto retires = [&](Slot other) { return other < retiring_.size() && retiring_[other]; };
  if (std::none_of(present.begin(), present.end(), retires)) return true;

  const float* centre = vector(slot).data();
  std::vector<Slot> kept;
  std::vector<std::pair<float, Slot>> behind;
  for (const Slot neighbour : present) {
    if (states_[neighbour] == SlotState::kLive) {
      kept.push_back(neighbour);
      continue;
    }
    for (const Slot other : neighbours(neighbour, level)) {
      if (other == slot || states_[other] != SlotState::kLive) continue;
      behind.emplace_back(distance(centre, other), other);
    }
  }
  std::sort(behind.begin(), behind.end());
  behind.erase(std::unique(behind.begin(), behind.end()), behind.end());
  for (const std::pair<float, Slot>& candidate : behind) {
    if (kept.size() == max_neighbours(level)) break;
    const float* query = vector(candidate.second).data();
    const bool diverse = std::all_of(kept.begin(), kept.end(), [&](Slot other) {
      return other != candidate.second && kSlack * distance(query, other) >= candidate.first;
    });
    if (diverse) kept.push_back(candidate.second);
  }
  changes.add(slot, level, kept);
  return level > 0 ? !kept.empty() : kept.size() >= hnsw_.M_ / 4;
}

void Graph::commit(const RepairStep& step) noexcept {
  commit(step.changes);
  repair_next_ = step.end;
  if (repairing_ && repair_next_ >= slots()) free_retiring();
}

void Graph::free_retiring() noexcept {
  for (Slot slot = 0; slot < retiring_.size(); ++slot) {
    if (!retiring_[slot]) continue;
    upper_bytes_ -= hnsw_.size_links_per_element_ * static_cast<std::size_t>(level(slot));
    std::free(hnsw_.linkLists_[slot]);
    hnsw_.linkLists_[slot] = nullptr;
    hnsw_.element_levels_[slot] = 0;
    states_[slot] = SlotState::kFree;
    free_.push_back(slot);
    --removed_;
  }
  retiring_.clear();
  repairing_ = false;
}

}  // namespace vsearch::index

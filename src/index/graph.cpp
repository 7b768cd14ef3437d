#include "index/graph.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace vsearch::index {
namespace {

constexpr std::size_t kFirstCapacity = 64;

}  // namespace

Graph::Graph(const IndexOptions& options)
    : metric_(options.metric),
      build_breadth_(std::max(options.build_breadth, options.links)),
      level_scale_(1.0 / std::log(static_cast<double>(options.links))),
      vectors_(options.dim, options.metric, options.storage),
      links_(options.links),
      ids_(sizeof(Id)),
      nodes_(sizeof(Node)) {
  reserve(kFirstCapacity);
}

std::uint64_t Graph::next_layout() noexcept {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

std::unique_ptr<Graph> Graph::copy() const {
  std::unique_ptr<Graph> result(new Graph(*this));
  result->free_.reserve(capacity_);  // copies of vectors have no room to grow
  result->links_.reserve_free();
  result->layout_ = next_layout();
  return result;
}

// Slots that were never used have no memory yet.
Graph::Memory Graph::memory() const {
  const std::size_t vector = vectors_.bytes_per_slot();
  const std::size_t links = links_.bytes_per_slot();
  const std::size_t node = ids_.record_bytes() + nodes_.record_bytes();
  return {live_ * vector + vectors_.encoding_bytes(), live_ * links + links_.upper_bytes(),
          live_ * node, (slots_ - live_) * (vector + links + node),
          live_ * (vectors_.walked_bytes_per_slot() + links) + links_.upper_bytes()};
}

std::optional<Slot> Graph::entry() const {
  if (live_ == 0) return std::nullopt;
  return entry_;
}

void Graph::reserve(std::size_t capacity) {
  if (capacity <= capacity_) return;
  vectors_.reserve(capacity);
  links_.reserve(capacity);
  ids_.reserve(capacity);
  nodes_.reserve(capacity);
  free_.reserve(capacity);  // so that nothing that frees slots can fail
  capacity_ = capacity;
}

std::optional<VectorStore::Encoding> Graph::plan_better_encoding() const {
  std::vector<Slot> live;
  live.reserve(live_);
  for (Slot slot = 0; slot < slots_; ++slot) {
    if (state(slot) == SlotState::kLive) live.push_back(slot);
  }
  return vectors_.better_encoding(live, slots_);
}

void Graph::commit(const LinkChanges& changes, std::size_t begin, std::size_t end) noexcept {
  for (const LinkChanges::List& list : changes.lists().subspan(begin, end - begin)) {
    links_.set(list.slot, list.level, changes.neighbours(list));
  }
}

Entry Graph::entry_without(std::span<const Slot> leaving) const noexcept {
  const auto leaves = [&](Slot slot) {
    return std::find(leaving.begin(), leaving.end(), slot) != leaving.end();
  };
  if (live_ == 0 || !leaves(entry_)) return {entry_, top_level_};
  Entry best;
  for (Slot slot = 0; slot < slots_; ++slot) {
    if (level(slot) <= best.level || state(slot) != SlotState::kLive || leaves(slot)) continue;
    best = {slot, level(slot)};
    if (best.level == top_level_) break;
  }
  return best;
}

void Graph::commit_remove(std::span<const Slot> leaving, Entry entry) noexcept {
  for (const Slot slot : leaving) node(slot).state = SlotState::kRemoved;
  live_ -= leaving.size();
  removed_ += leaving.size();
  entry_ = entry.slot;
  top_level_ = entry.level;
}

void Graph::commit_restore(Slot slot) noexcept {
  node(slot).state = SlotState::kLive;
  ++live_;
  --removed_;
  if (live_ == 1 || level(slot) > top_level_) {
    entry_ = slot;
    top_level_ = level(slot);
  }
}

}  // namespace vsearch::index

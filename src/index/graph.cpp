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
  return result;
}

// Slots that were never used have no memory yet.
Graph::Memory Graph::memory() const {
  const std::size_t vector = vectors_.bytes_per_slot();
  const std::size_t links = links_.bytes_per_slot();
  const std::size_t node = ids_.record_bytes() + nodes_.record_bytes();
  return {live_ * vector + vectors_.encoding_bytes(), live_ * links + links_.upper_bytes(),
          live_ * node, (slots_ - live_) * (vector + links + node)};
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

void Graph::commit_remove(Slot slot) noexcept {
  node(slot).state = SlotState::kRemoved;
  --live_;
  ++removed_;
  if (slot == entry_) choose_entry();
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

// The entry point is always live, so that walks begin where they may end.
void Graph::choose_entry() noexcept {
  top_level_ = -1;
  for (Slot slot = 0; slot < slots_; ++slot) {
    if (state(slot) == SlotState::kLive && level(slot) > top_level_) {
      entry_ = slot;
      top_level_ = level(slot);
    }
  }
}

}  // namespace vsearch::index

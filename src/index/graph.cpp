#include "index/graph.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

namespace vsearch::index {
namespace {

static_assert(sizeof(hnswlib::labeltype) == sizeof(Id), "hnswlib's labels hold our ids");
static_assert(std::is_same_v<hnswlib::tableint, Slot>);

// Little, because hnswlib's constructor does not clean up when it runs out of memory.
constexpr std::size_t kFirstCapacity = 64;

DistanceFunction distance_function(Metric metric) {
  const DistanceKernels& kernels = distance_kernels().front();
  return metric == Metric::kL2 ? kernels.squared_l2 : kernels.inner_product;
}

class FilterFunctor : public hnswlib::BaseFilterFunctor {
 public:
  explicit FilterFunctor(const IdFilter& filter) : filter_(filter) {}
  bool operator()(hnswlib::labeltype id) override { return filter_.contains(id); }

 private:
  const IdFilter& filter_;
};

}  // namespace

Graph::Graph(const IndexOptions& options)
    : space_(options.dim, distance_function(options.metric)),
      hnsw_(&space_, kFirstCapacity, options.links, options.build_breadth),
      states_(kFirstCapacity, SlotState::kFree) {
  // One spare entry a list: hnswlib prefetches the neighbour behind the last one.
  hnsw_.size_links_per_element_ += sizeof(Slot);
  // 2.6 MB of locks that only members of hnswlib use that we do not call.
  std::vector<std::mutex>().swap(hnsw_.label_op_locks_);
}

std::size_t Graph::memory_bytes() const {
  const std::size_t per_slot = hnsw_.size_data_per_element_ + sizeof(char*) + sizeof(int) +
                               sizeof(std::mutex) + sizeof(SlotState) + sizeof(hnswlib::vl_type);
  return capacity() * per_slot + upper_bytes_;
}

std::span<const float> Graph::vector(Slot slot) const {
  return {reinterpret_cast<const float*>(hnsw_.getDataByInternalId(slot)), space_.dim};
}

std::span<const Slot> Graph::neighbours(Slot slot, int level) const {
  hnswlib::linklistsizeint* list = hnsw_.get_linklist_at_level(slot, level);
  return {list + 1, hnsw_.getListCount(list)};
}

std::optional<Slot> Graph::entry() const {
  if (live_ == 0) return std::nullopt;
  return hnsw_.enterpoint_node_;
}

// Walks greedily from the entry point, from the top level to the one above `to_level`.
Slot Graph::descend(const float* query, int to_level) const {
  Slot nearest = hnsw_.enterpoint_node_;
  float nearest_distance = distance(query, nearest);
  for (int level = hnsw_.maxlevel_; level > to_level; --level) {
    bool moved = true;
    while (moved) {
      moved = false;
      for (const Slot candidate : neighbours(nearest, level)) {
        const float candidate_distance = distance(query, candidate);
        if (candidate_distance < nearest_distance) {
          nearest_distance = candidate_distance;
          nearest = candidate;
          moved = true;
        }
      }
    }
  }
  return nearest;
}

std::vector<Neighbor> Graph::walk(const float* query, std::size_t breadth,
                                  const IdFilter* filter) const {
  std::vector<Neighbor> found;
  if (live_ == 0) return found;
  const Slot start = descend(query, 0);
  Candidates nearest;
  if (filter != nullptr) {
    FilterFunctor functor(*filter);
    nearest = hnsw_.searchBaseLayerST<false>(start, query, breadth, &functor);
  } else if (removed_ > 0) {
    nearest = hnsw_.searchBaseLayerST<false>(start, query, breadth);
  } else {
    nearest = hnsw_.searchBaseLayerST<true>(start, query, breadth);
  }
  found.reserve(nearest.size());
  for (; !nearest.empty(); nearest.pop()) {
    found.push_back({id(nearest.top().second), nearest.top().first});
  }
  return found;
}

// Levels are drawn as hnswlib does, from a generator of our own: its one may return infinity.
int Graph::draw_level() {
  std::uint64_t bits = ++levels_drawn_ * 0x9E3779B97F4A7C15U;  // splitmix64
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
  bits ^= bits >> 31;
  const double uniform = (static_cast<double>(bits >> 11) + 1.0) / 9007199254740992.0;  // (0, 1]
  return std::min(static_cast<int>(-std::log(uniform) * hnsw_.mult_), kMaxLevel);
}

Slot Graph::next_slot() const {
  return free_.empty() ? static_cast<Slot>(slots()) : free_.back();
}

Insertion Graph::plan_insert(const float* vector, Id id) {
  Insertion insertion;
  insertion.slot = next_slot();
  insertion.level = draw_level();
  if (insertion.level > 0) {
    const std::size_t bytes =
        hnsw_.size_links_per_element_ * static_cast<std::size_t>(insertion.level);
    insertion.upper_lists.reset(static_cast<char*>(std::calloc(bytes, 1)));
    if (insertion.upper_lists == nullptr) throw std::bad_alloc();
  }
  std::memset(hnsw_.get_linklist0(insertion.slot), 0, hnsw_.size_data_per_element_);
  std::memcpy(hnsw_.getDataByInternalId(insertion.slot), vector, hnsw_.data_size_);
  hnsw_.setExternalLabel(insertion.slot, id);
  if (live_ > 0) plan_links(insertion.slot, insertion.level, insertion.changes);
  return insertion;
}

LinkChanges Graph::plan_reconnect(Slot slot) {
  LinkChanges changes;
  plan_links(slot, level(slot), changes);
  return changes;
}

// HNSW's insertion (Algorithm 1), with the changes to the lists written down.
void Graph::plan_links(Slot slot, int level, LinkChanges& changes) {
  const float* query = vector(slot).data();
  const int top = std::min(level, hnsw_.maxlevel_);
  Slot start = descend(query, top);
  std::vector<Slot> selected;
  for (int at = top; at >= 0; --at) {
    Candidates nearest = hnsw_.searchBaseLayer(start, query, at);
    Candidates others;  // the slot itself is found when it is in the graph already
    for (; !nearest.empty(); nearest.pop()) {
      if (nearest.top().second != slot) others.push(nearest.top());
    }
    hnsw_.getNeighborsByHeuristic2(others, hnsw_.M_);
    selected.clear();
    for (; !others.empty(); others.pop()) selected.push_back(others.top().second);
    if (selected.empty()) continue;
    start = selected.back();  // the nearest
    changes.add(slot, at, selected);
    for (const Slot neighbour : selected) plan_back_link(neighbour, slot, at, changes);
  }
}

void Graph::plan_back_link(Slot from, Slot to, int level, LinkChanges& changes) {
  const std::span<const Slot> present = neighbours(from, level);
  if (std::find(present.begin(), present.end(), to) != present.end()) return;
  std::vector<Slot> list(present.begin(), present.end());
  list.push_back(to);
  if (list.size() > max_neighbours(level)) {
    Candidates candidates;
    const float* centre = vector(from).data();
    for (const Slot slot : list) candidates.emplace(distance(centre, slot), slot);
    hnsw_.getNeighborsByHeuristic2(candidates, max_neighbours(level));
    list.clear();
    for (; !candidates.empty(); candidates.pop()) list.push_back(candidates.top().second);
  }
  changes.add(from, level, list);
}

void Graph::commit(Insertion insertion) noexcept {
  const Slot slot = insertion.slot;
  if (!free_.empty()) {
    free_.pop_back();
  } else {
    hnsw_.cur_element_count = slot + 1;
  }
  hnsw_.element_levels_[slot] = insertion.level;
  hnsw_.linkLists_[slot] = insertion.upper_lists.release();
  upper_bytes_ += hnsw_.size_links_per_element_ * static_cast<std::size_t>(insertion.level);
  commit(insertion.changes);
  states_[slot] = SlotState::kLive;
  ++live_;
  if (live_ == 1 || insertion.level > hnsw_.maxlevel_) {
    hnsw_.enterpoint_node_ = slot;
    hnsw_.maxlevel_ = insertion.level;
  }
}

void Graph::commit(const LinkChanges& changes) noexcept {
  for (const LinkChanges::List& change : changes.lists()) {
    const std::span<const Slot> slots = changes.neighbours(change);
    hnswlib::linklistsizeint* list = hnsw_.get_linklist_at_level(change.slot, change.level);
    hnsw_.setListCount(list, static_cast<unsigned short>(slots.size()));
    std::copy(slots.begin(), slots.end(), list + 1);
  }
}

// The mark is a bit beside the length of the list on level 0, where hnswlib's walk looks for it.
void Graph::set_mark(Slot slot, bool removed) noexcept {
  auto* mark = reinterpret_cast<unsigned char*>(hnsw_.get_linklist0(slot)) + 2;
  *mark =
      static_cast<unsigned char>(removed ? *mark | Hnsw::DELETE_MARK : *mark & ~Hnsw::DELETE_MARK);
}

void Graph::commit_remove(Slot slot) noexcept {
  set_mark(slot, true);
  states_[slot] = SlotState::kRemoved;
  --live_;
  ++removed_;
  if (slot == hnsw_.enterpoint_node_) choose_entry();
}

void Graph::commit_restore(Slot slot) noexcept {
  set_mark(slot, false);
  states_[slot] = SlotState::kLive;
  ++live_;
  --removed_;
  if (live_ == 1 || level(slot) > hnsw_.maxlevel_) {
    hnsw_.enterpoint_node_ = slot;
    hnsw_.maxlevel_ = level(slot);
  }
}

// The entry point is always live, so that no insertion links to a removed one (hnswlib takes the
// entry point for a neighbour even when it is removed).
void Graph::choose_entry() noexcept {
  hnsw_.maxlevel_ = -1;
  for (Slot slot = 0; slot < slots(); ++slot) {
    if (states_[slot] == SlotState::kLive && level(slot) > hnsw_.maxlevel_) {
      hnsw_.enterpoint_node_ = slot;
      hnsw_.maxlevel_ = level(slot);
    }
  }
}

Growth Graph::prepare_growth(std::size_t capacity) const {
  Growth growth;
  growth.capacity = capacity;
  growth.levels = hnsw_.element_levels_;
  growth.levels.resize(capacity);
  growth.states = states_;
  growth.states.resize(capacity, SlotState::kFree);
  growth.locks = std::vector<std::mutex>(capacity);
  growth.visited = std::make_unique<hnswlib::VisitedListPool>(1, static_cast<int>(capacity));
  growth.upper_lists.reset(static_cast<char**>(std::calloc(capacity, sizeof(char*))));
  if (growth.upper_lists == nullptr) throw std::bad_alloc();
  std::copy_n(hnsw_.linkLists_, slots(), growth.upper_lists.get());
  return growth;
}

void Graph::commit(Growth& growth) {
  // Large blocks are moved by the operating system, without a copy.
  void* memory =
      std::realloc(hnsw_.data_level0_memory_, growth.capacity * hnsw_.size_data_per_element_);
  if (memory == nullptr) throw std::bad_alloc();
  hnsw_.data_level0_memory_ = static_cast<char*>(memory);
  hnsw_.element_levels_.swap(growth.levels);
  states_.swap(growth.states);
  hnsw_.link_list_locks_.swap(growth.locks);
  hnsw_.visited_list_pool_.swap(growth.visited);
  char** upper_lists = growth.upper_lists.release();
  growth.upper_lists.reset(hnsw_.linkLists_);
  hnsw_.linkLists_ = upper_lists;
  hnsw_.max_elements_ = growth.capacity;
}

void Graph::grow(std::size_t capacity) {
  if (capacity <= this->capacity()) return;
  Growth growth = prepare_growth(capacity);
  commit(growth);
}

void Graph::restore_slot(Slot slot, SlotState state, Id id, int level,
                         std::span<const float> vector) {
  MallocBytes upper_lists;
  if (level > 0) {
    const std::size_t bytes = hnsw_.size_links_per_element_ * static_cast<std::size_t>(level);
    upper_lists.reset(static_cast<char*>(std::calloc(bytes, 1)));
    if (upper_lists == nullptr) throw std::bad_alloc();
    upper_bytes_ += bytes;
  }
  if (state == SlotState::kFree) free_.push_back(slot);
  std::memset(hnsw_.get_linklist0(slot), 0, hnsw_.size_data_per_element_);
  std::memcpy(hnsw_.getDataByInternalId(slot), vector.data(), vector.size_bytes());
  hnsw_.setExternalLabel(slot, id);
  hnsw_.element_levels_[slot] = level;
  hnsw_.linkLists_[slot] = upper_lists.release();
  hnsw_.cur_element_count = slot + 1;
  states_[slot] = state;
  if (state == SlotState::kRemoved) set_mark(slot, true);
  live_ += state == SlotState::kLive ? 1 : 0;
  removed_ += state == SlotState::kRemoved ? 1 : 0;
}

void Graph::restore_neighbours(Slot slot, int level, std::span<const Slot> neighbours) {
  hnswlib::linklistsizeint* list = hnsw_.get_linklist_at_level(slot, level);
  hnsw_.setListCount(list, static_cast<unsigned short>(neighbours.size()));
  std::copy(neighbours.begin(), neighbours.end(), list + 1);
}

void Graph::finish_restore(Slot entry) {
  levels_drawn_ = slots();
  if (live_ == 0) return;
  hnsw_.enterpoint_node_ = entry;
  hnsw_.maxlevel_ = level(entry);
}

}  // namespace vsearch::index

// The HNSW graph: vectors in slots, and links between slots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "hnswlib/hnswlib.h"
#include "index/distance.h"
#include "index/id_table.h"
#include "vsearch/index.h"

namespace vsearch::index {

enum class SlotState : std::uint8_t {
  kFree = 0,    // nothing links here; an insertion may take it
  kLive = 1,    // can be found
  kRemoved = 2  // not found, but walks still pass through it
};

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
using MallocBytes = std::unique_ptr<char, FreeMemory>;

// Neighbour lists that are to replace those of the graph.
class LinkChanges {
 public:
  struct List {
    Slot slot;
    int level;
    std::size_t begin;
    std::size_t size;
  };

  void add(Slot slot, int level, std::span<const Slot> neighbours) {
    lists_.push_back({slot, level, neighbours_.size(), neighbours.size()});
    neighbours_.insert(neighbours_.end(), neighbours.begin(), neighbours.end());
  }
  const std::vector<List>& lists() const { return lists_; }
  std::span<const Slot> neighbours(const List& list) const {
    return std::span(neighbours_).subspan(list.begin, list.size);
  }

 private:
  std::vector<List> lists_;
  std::vector<Slot> neighbours_;
};

// A vector that is to enter the graph: everything that commit() will write.
struct Insertion {
  Slot slot = 0;
  int level = 0;
  MallocBytes upper_lists;  // hnswlib's memory for the lists above level 0
  LinkChanges changes;
};

// The next step of a repair.
struct RepairStep {
  LinkChanges changes;
  std::vector<Slot> stranded;  // live slots that lost nearly all neighbours: see plan_reconnect()
  std::size_t end = 0;         // slots below are then repaired; 0: there is nothing to do
};

// Larger tables, to be put in place of the graph's.
struct Growth {
  std::size_t capacity = 0;
  std::vector<int> levels;
  std::vector<SlotState> states;
  std::vector<std::mutex> locks;
  std::unique_ptr<hnswlib::VisitedListPool> visited;
  std::unique_ptr<char*, FreeMemory> upper_lists;
};

// hnswlib 0.8.0 holds the memory, walks the graph and selects neighbours. Everything that changes
// the graph is done here, in two steps: plan_...() and prepare_...() compute and allocate, and may
// fail; commit() only copies, and can not. So a failure leaves the graph as it was, and searches
// have to pause for microseconds only. That replaces those members of hnswlib that break on
// failure or beside searches: addPoint (registers a point before it may throw), updatePoint,
// markDelete (hides the entry point and leaves it), resizeIndex (throws half-way), saveIndex,
// loadIndex.
//
// Removal marks a slot; walks go on through it. When an eighth of the slots are marked, a repair is
// due: slot by slot, some with each later change, links to marked slots are replaced by links to
// what lies behind them, as FreshDiskANN does (arXiv 2105.09613); after the last one the marked
// slots are free.
//
// Threads: const members may run at the same time, and beside the plan_...() and prepare_...()
// members, of which one may run at a time. Every other member must run alone.
class Graph {
 public:
  static constexpr std::size_t kMaxSlots = 0x7FFFFFFF;  // hnswlib's walk holds slots in an int
  static constexpr int kMaxLevel = 32;

  explicit Graph(const IndexOptions& options);  // with room for a few vectors
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  std::size_t live() const { return live_; }
  std::size_t removed() const { return removed_; }
  std::size_t slots() const { return hnsw_.cur_element_count; }  // ever used
  std::size_t capacity() const { return hnsw_.max_elements_; }
  std::size_t free_slots() const { return capacity() - live_ - removed_; }
  std::size_t memory_bytes() const;

  SlotState state(Slot slot) const { return states_[slot]; }
  Id id(Slot slot) const { return hnsw_.getExternalLabel(slot); }
  int level(Slot slot) const { return hnsw_.element_levels_[slot]; }
  std::span<const float> vector(Slot slot) const;
  std::span<const Slot> neighbours(Slot slot, int level) const;
  std::optional<Slot> entry() const;  // none when nothing is live
  std::size_t max_neighbours(int level) const { return level == 0 ? hnsw_.maxM0_ : hnsw_.maxM_; }

  float distance(const float* query, Slot slot) const {
    return hnsw_.fstdistfunc_(query, hnsw_.getDataByInternalId(slot), hnsw_.dist_func_param_);
  }
  // The live slots that a best-first walk with `breadth` candidates finds near `query`, and of
  // these only the ids in `filter` if it is given; in no order. Throws std::bad_alloc.
  std::vector<Neighbor> walk(const float* query, std::size_t breadth, const IdFilter* filter) const;

  // How `vector` would enter the graph. Takes a free slot, which must exist, and writes into that
  // slot's memory, which nobody reads before commit().
  Insertion plan_insert(const float* vector, Id id);
  void commit(Insertion insertion) noexcept;

  void commit_remove(Slot slot) noexcept;   // a live slot
  void commit_restore(Slot slot) noexcept;  // undoes commit_remove, if no repair came between

  Growth prepare_growth(std::size_t capacity) const;
  void commit(Growth& growth);      // throws std::bad_alloc, with nothing changed
  void grow(std::size_t capacity);  // both, if there is less room; when nobody searches

  // The next `count` slots of the repair under way, or of a new one if that is due. Throws
  // std::bad_alloc, with nothing changed.
  RepairStep plan_repair(std::size_t count);
  // New links from and to a live slot, as if it were inserted again. Throws std::bad_alloc.
  LinkChanges plan_reconnect(Slot slot);
  void commit(const RepairStep& step) noexcept;
  void commit(const LinkChanges& changes) noexcept;

  // For reading a snapshot into a new graph: all slots in ascending order, then all lists, then
  // finish_restore(). The caller has checked every value.
  void restore_slot(Slot slot, SlotState state, Id id, int level, std::span<const float> vector);
  void restore_neighbours(Slot slot, int level, std::span<const Slot> neighbours);
  void finish_restore(Slot entry);  // ignored when nothing is live

 private:
  using Hnsw = hnswlib::HierarchicalNSW<float>;
  using Candidates = std::priority_queue<std::pair<float, Slot>,
                                         std::vector<std::pair<float, Slot>>, Hnsw::CompareByFirst>;

  // hnswlib copies the function out of this and keeps a pointer to `dim`.
  struct Space : hnswlib::SpaceInterface<float> {
    Space(std::size_t dim_, DistanceFunction function_) : dim(dim_), function(function_) {}
    std::size_t get_data_size() override { return dim * sizeof(float); }
    hnswlib::DISTFUNC<float> get_dist_func() override { return function; }
    void* get_dist_func_param() override { return &dim; }
    std::size_t dim;
    DistanceFunction function;
  };

  Slot descend(const float* query, int to_level) const;
  void plan_links(Slot slot, int level, LinkChanges& changes);
  void plan_back_link(Slot from, Slot to, int level, LinkChanges& changes);
  Slot next_slot() const;
  void begin_repair();
  bool plan_repaired_list(Slot slot, int level, LinkChanges& changes);
  void free_retiring() noexcept;
  void choose_entry() noexcept;
  void set_mark(Slot slot, bool removed) noexcept;
  int draw_level();

  Space space_;
  Hnsw hnsw_;
  std::vector<SlotState> states_;  // [capacity]
  std::size_t live_ = 0;
  std::size_t removed_ = 0;
  std::size_t upper_bytes_ = 0;  // of the lists above level 0

  // Of the writer only: searches do not read these.
  std::vector<Slot> free_;       // slots below slots() that may be taken
  std::vector<bool> retiring_;   // [slots() at its beginning] what the repair under way will free
  std::size_t repair_next_ = 0;  // slots below are repaired
  bool repairing_ = false;
  std::uint64_t levels_drawn_ = 0;
};

}  // namespace vsearch::index

// The HNSW graph: vectors in slots, and links between slots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "index/id_filter.h"
#include "index/links.h"
#include "index/vector_store.h"
#include "index/walk.h"
#include "vsearch/index.h"

namespace vsearch::index {

enum class SlotState : std::uint8_t {
  kFree = 0,    // nothing links here; an insertion may take it
  kLive = 1,    // can be found
  kRemoved = 2  // not found, but walks still pass through it
};

// Vectors that are to enter the graph together: everything that commit() will write.
struct Insertions {
  struct One {
    Slot slot;
    Id id;
    int level;
  };
  std::vector<One> each;
  LinkChanges own;    // their lists
  LinkChanges links;  // those of others that are to lead to them
};

// The next step of a repair.
struct RepairStep {
  LinkChanges changes;
  std::vector<Slot> stranded;  // live slots that lost nearly all neighbours: see plan_reconnect()
  std::size_t end = 0;         // slots below are then repaired; 0: there is nothing to do
};

// Where walks begin: at a live slot of the highest level, so that they begin where they may end.
struct Entry {
  Slot slot = 0;
  int level = -1;  // -1: nothing is live
};

// Everything that changes the graph goes in two steps: plan_...() computes and allocates, and may
// fail; commit() only copies, and can not. So a failure leaves the graph as it was, and searches
// have to pause for microseconds only.
//
// Insertion is HNSW's (Malkov and Yashunin, arXiv 1603.09320), some vectors at a time, as
// ParlayANN does (Manohar et al., PPoPP 2024): all of a batch look for neighbours in the graph as
// it is and among each other, then the lists of those that were chosen are pruned, each once. The
// result does not depend on the number of threads.
//
// Removal marks a slot; walks go on through it. When one slot in 32 is marked, a repair is due:
// slot by slot, some with each later change, links to marked slots are replaced by links to what
// lies behind them, as FreshDiskANN does (arXiv 2105.09613), and by links back from there; after
// the last one the marked slots are free.
//
// Threads: const members may run at the same time, and beside the plan_...() members, of which one
// may run at a time. Every other member must run alone.
class Graph {
 public:
  static constexpr std::size_t kMaxSlots = 0x7FFFFFFF;  // a pool marks slots in the highest bit
  static constexpr int kMaxLevel = 32;

  explicit Graph(const IndexOptions& options);
  Graph& operator=(const Graph&) = delete;
  std::unique_ptr<Graph> copy() const;  // throws std::bad_alloc

  std::size_t live() const { return live_; }
  std::size_t removed() const { return removed_; }
  std::size_t slots() const { return slots_; }  // ever used
  std::size_t capacity() const { return capacity_; }
  std::size_t free_slots() const { return capacity_ - live_ - removed_; }
  struct Memory {  // in bytes
    std::size_t vectors;
    std::size_t links;
    std::size_t nodes;
    std::size_t unused;  // of slots without a live vector
    std::size_t walked;  // of vectors and links: what walks read
  };
  Memory memory() const;

  SlotState state(Slot slot) const { return node(slot).state; }
  Id id(Slot slot) const { return *reinterpret_cast<const Id*>(ids_.at(slot)); }
  // Asks for what id() and VectorStore::exact() will read.
  [[gnu::always_inline]] void prefetch_exact(Slot slot) const {
    __builtin_prefetch(reinterpret_cast<const char*>(ids_.at(slot)), 0, 2);
    vectors_.prefetch_exact(slot);
  }
  int level(Slot slot) const { return node(slot).level; }
  std::span<const Slot> neighbours(Slot slot, int level) const {
    return links_.neighbours(slot, level);
  }
  std::optional<Slot> entry() const;  // none when nothing is live
  std::size_t max_neighbours(int level) const { return links_.max_neighbours(level); }
  const VectorStore& vectors() const { return vectors_; }

  WalkMemories& walk_memories() const { return memories_; }

  // A number that changes whenever slots of which somebody holds a list, or what was prepared for
  // their encoding, may come to mean something else: when slots are freed, when vectors are encoded
  // anew. No two graphs have the same. As long as it stays, a slot that was live once holds the
  // same vector under the same id, removed or not.
  std::uint64_t layout() const { return layout_; }

  // Fills `memory.found` with the live slots that a best-first walk finds near `memory.query`, and
  // of these only those in `filter`, if it is given; by ascending distance as a walk sees it
  // (VectorStore::near). Finds nothing where hardly anything around the query matches: the nearest
  // that do are then on all sides of it, and no walk meets them all. Throws std::bad_alloc.
  void walk(const Effort& effort, const SlotFilter* filter, WalkMemory& memory) const;

  // Fills `memory.found` with the `count` nearest of a pool that are live.
  void keep_live(const Pool& pool, std::size_t count, WalkMemory& memory) const;

  // How `rows` would enter the graph. Takes free slots, of which there must be enough, and writes
  // into their memory, which nobody reads before commit(). The encoding covers `rows`; there is
  // room for lists on upper levels: see prepare_insert(). `threads` share the work. Throws
  // std::bad_alloc.
  Insertions plan_insert(std::span<const std::span<const float>> rows, std::span<const Id> ids,
                         std::size_t threads);
  // Draws the levels of the next `count` insertions; returns how many upper lists they take.
  std::size_t draw_levels(std::size_t count);
  void commit_nodes(const Insertions& insertions) noexcept;  // then commit(insertions.links)

  // Where walks begin once the live slots `leaving`, each of which stands there once, are removed.
  // Looks at all slots if walks begin at one of them now.
  Entry entry_without(std::span<const Slot> leaving) const noexcept;
  void commit_remove(std::span<const Slot> leaving, Entry entry) noexcept;  // entry_without()
  void commit_restore(Slot slot) noexcept;  // undoes commit_remove, if no repair came between

  // These throw std::bad_alloc, with nothing changed but room.
  void reserve(std::size_t capacity);
  void reserve_upper(std::size_t count) { links_.reserve_upper(count); }
  std::size_t free_upper() const { return links_.free_upper(); }

  VectorStore::Encoding plan_encoding(std::span<const std::span<const float>> rows) const {
    return vectors_.encoding_for(rows, slots_);
  }
  // An encoding that suits the live vectors better; nothing if it would gain little.
  std::optional<VectorStore::Encoding> plan_better_encoding() const;
  void commit(VectorStore::Encoding& encoding) noexcept {
    vectors_.commit(encoding);
    layout_ = next_layout();
  }

  // The next `count` slots of the repair under way, or of a new one if that is due. Throws
  // std::bad_alloc, with nothing changed.
  RepairStep plan_repair(std::size_t count);
  // New links from and to a live slot, as if it were inserted again. Throws std::bad_alloc.
  LinkChanges plan_reconnect(Slot slot);
  void commit(const RepairStep& step) noexcept;
  void commit(const LinkChanges& changes, std::size_t begin, std::size_t end) noexcept;
  void commit(const LinkChanges& changes) noexcept { commit(changes, 0, changes.lists().size()); }

  // For a snapshot: what it holds besides the vectors, of `slots` slots with `upper` lists above
  // level 0, free ones among them. It changes in place, unlike vectors().sections().
  std::size_t upper_lists() const { return links_.used_upper(); }
  std::vector<Section> sections(std::size_t slots, std::size_t upper);
  VectorStore& vectors() { return vectors_; }
  // Takes over what has been read into the sections of a new graph, of itself and its vectors;
  // `entry` is ignored when nothing is live. Looks at everything that a walk follows: returns why
  // this is no graph, nothing if it is one. Throws std::bad_alloc.
  std::string restore(std::size_t slots, std::size_t upper, Slot entry, std::size_t threads);
  // The same for the table of the slots that the ids of live vectors are in.
  std::string restore(IdTable& table, std::size_t buckets, std::size_t threads) const;

  // Of formats 1 and 2, where the sections are not as in memory: there is room for the slots.
  void restore_slot(Slot slot, SlotState state, Id id, int level,
                    std::span<const std::byte> vector);
  void restore_neighbours(Slot slot, int level, std::span<const Slot> neighbours) {
    links_.set(slot, level, neighbours);
  }

 private:
  Graph(const Graph&) = default;

  struct Node {
    SlotState state;
    std::uint8_t level;
  };
  using Selected = std::vector<Slot>;
  using PlannedLists = std::map<std::pair<Slot, int>, Selected>;  // by slot and level
  // Through which slots a walk goes, and which it finds.
  enum class Passes : std::uint8_t { kAll, kAllForMatching, kMatching };
  struct Terms {
    int level;
    Passes passes = Passes::kAll;
    const SlotFilter* filter = nullptr;
  };

  static std::uint64_t next_layout() noexcept;

  Node& node(Slot slot) const { return *reinterpret_cast<Node*>(nodes_.at(slot)); }
  void set_id(Slot slot, Id id) { *reinterpret_cast<Id*>(ids_.at(slot)) = id; }

  Slot descend(int from_level, int to_level, Slot start, WalkMemory& memory) const;
  // Where distances are measured from: 1 - <a, b> of any vectors has no natural zero, so parts of
  // it are taken of <a, b>.
  float origin() const { return metric_ == Metric::kInnerProduct ? -1.0F : 0.0F; }
  void walk_from(Slot start, int level, const Effort& effort, WalkMemory& memory) const;
  void walk_filtered(Slot start, const Effort& effort, const SlotFilter& filter,
                     WalkMemory& memory) const;
  void walk_on(const Terms& terms, WalkMemory& memory) const;
  bool advance(Step& step, const Terms& terms, WalkMemory& memory) const;
  void offer(std::span<const Slot> met, const Terms& terms, WalkMemory& memory) const;
  void meet(Slot from, int level, Visited& visited, std::vector<Slot>& met) const;
  void meet_matching(const SlotFilter& filter, Slot from, WalkMemory& memory,
                     std::vector<Slot>& met) const;
  bool matches(const SlotFilter& filter, Slot slot) const {
    if (filter.matching != nullptr) return filter.matching->contains(slot);
    return state(slot) == SlotState::kLive && filter.ids->contains(id(slot));
  }
  double share_around(const SlotFilter& filter, Slot start) const;

  // Of `candidates`, ascending, those that are nearer to the centre than to any chosen before.
  // `own`: the centre's distance to itself, as walks see it.
  void select(std::span<const Candidate> candidates, float own, std::size_t most,
              WalkMemory& memory, Selected& selected) const;
  void plan_own_links(const Insertions& batch, std::size_t number, WalkMemory& memory,
                      std::vector<Selected>& levels) const;
  void plan_back_links(Slot to, int level, std::span<const Slot> from, WalkMemory& memory,
                       Selected& list) const;
  void begin_repair();
  bool is_diverse(const Candidate& candidate, std::span<const Slot> kept, float slack,
                  WalkMemory& memory) const;
  bool plan_repaired_list(Slot slot, int level, PlannedLists& planned);
  void free_retiring() noexcept;
  std::string restore_nodes(std::size_t slots, Slot entry);
  std::string restore_upper(std::size_t upper);
  std::string defect_of_list(Slot slot, int level) const;
  int draw_level();

  const Metric metric_;
  const std::size_t build_breadth_;
  const double level_scale_;
  VectorStore vectors_;
  LinkLists links_;
  Arena ids_;
  Arena nodes_;
  mutable WalkMemories memories_;
  std::size_t capacity_ = 0;
  std::size_t slots_ = 0;
  std::size_t live_ = 0;
  std::size_t removed_ = 0;
  Slot entry_ = 0;
  int top_level_ = -1;
  std::uint64_t layout_ = next_layout();

  // Of the writer only: searches do not read these.
  std::vector<Slot> free_;       // slots below slots() that may be taken
  std::vector<int> drawn_;       // levels of the next insertions
  std::vector<bool> retiring_;   // [slots() at its beginning] what the repair under way will free
  std::size_t repair_next_ = 0;  // slots below are repaired
  bool repairing_ = false;
  std::uint64_t levels_drawn_ = 0;
};

}  // namespace vsearch::index

// What stands behind vsearch::Index.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "index/calibration.h"
#include "index/fair_shared_mutex.h"
#include "index/graph.h"
#include "index/id_filter.h"
#include "index/id_table.h"
#include "index/snapshot_check.h"
#include "index/vectors.h"
#include "index/writer_mutex.h"
#include "vsearch/error.h"
#include "vsearch/index.h"

namespace vsearch {

// Two locks. `writer` is held for the whole of a call that changes the index, and by save() while
// it copies what changes in place; its holder may read everything. `access` is held shared by
// searches, and exclusively only while a prepared change is put in place.
struct Index::Impl {
  explicit Impl(const IndexOptions& options_);

  // Of the slots that ids are in. Needs `access`, shared at least.
  index::Version version() const { return {serial, change_count}; }

  struct Change;
  struct ExactSearch;
  class HealthCheck;
  // How vectors were encoded when a call began, if that has changed since.
  using Previous = std::optional<index::VectorStore::Encoding>;

  // What Index::search() does, without its checks. Throws std::bad_alloc.
  std::vector<Neighbor> search(std::span<const float> query, const SearchOptions& search_options,
                               SearchReport& report) const;

  // Of a walk that finds this share of the k nearest. Throws std::bad_alloc.
  index::Effort effort_for(double recall, std::size_t k) const;

  // Of searches for k neighbours; made when it is not there, or when as many vectors have changed
  // since as there were. Throws std::bad_alloc.
  std::shared_ptr<const index::Calibration> calibration(std::size_t k) const;

  // Index::search_batch() with SearchOptions::exact, without its checks. Throws std::bad_alloc.
  SearchReport search_exactly(MatrixView queries, const SearchOptions& search_options,
                              std::span<std::vector<Neighbor>> results) const;

  // While it lives, save() reads the vectors of all slots that were in use when it was made,
  // without `writer`, under which it is made: they stay as they are. No slot becomes free, and who
  // encodes vectors anew or moves them to other slots calls wait_for_save() before it puts that in
  // place.
  class Saving {
   public:
    explicit Saving(const Impl& impl) : saving_(impl.saving) { saving_ = true; }
    ~Saving() {
      saving_ = false;
      saving_.notify_all();
    }
    Saving(const Saving&) = delete;
    Saving& operator=(const Saving&) = delete;

   private:
    std::atomic<bool>& saving_;
  };
  void wait_for_save() const noexcept { saving.wait(true); }

  // These need `writer` held.
  // `read(row, vector)`: what is to be stored under row_ids[row].
  using ReadRow = std::function<void(std::size_t row, std::vector<float>& vector)>;
  void add(std::span<const Id> row_ids, const ReadRow& read, const Progress& progress);
  void make_room(std::size_t new_vectors);
  void insert(index::Graph& into, index::IdTable& table,
              std::span<const std::vector<float>> vectors, std::span<const Id> ids,
              std::vector<Change>& changes);
  void fit_encoding(index::Graph& into, std::span<const float> least, std::span<const float> most,
                    Previous& previous);
  void undo(std::span<const Change> changes, Previous& previous) noexcept;
  void maintain(std::size_t changes) noexcept;
  void follow_vectors(std::size_t changes);
  void rebuild();
  void put_in_place(std::unique_ptr<index::Graph> other, index::IdTable other_slots) noexcept;
  void copy(const Impl& other);  // needs the writer of `other` held, too

  const IndexOptions options;
  std::mutex save_turn;  // held by save(), for the whole of it; taken before `writer`
  mutable index::WriterMutex writer;
  mutable index::FairSharedMutex access;
  std::unique_ptr<index::Graph> graph;
  index::IdTable slots;
  std::uint64_t change_count = 0;     // of `slots` and of what is live; guarded by `access`
  std::uint64_t vectors_changed = 0;  // added or removed; guarded by `access`
  std::uint64_t graph_count = 0;      // graphs that this index had before; guarded by `access`

  struct Calibrated {
    std::shared_ptr<const index::Calibration> found;
    std::uint64_t made_at = 0;  // vectors_changed
    std::size_t live = 0;
  };
  mutable std::mutex calibrating;  // of these two
  mutable std::map<std::size_t, Calibrated> calibrations;
  mutable std::vector<std::vector<float>> calibration_queries;
  std::size_t changes_since_look = 0;  // at how vectors are encoded; guarded by `writer`
  const std::uint64_t serial;          // of this index, among all of the process
  mutable std::atomic<bool> saving = false;
  // Of the snapshot. Every call that changes the index waits for it, and whatever cannot bear
  // distances that are no numbers.
  mutable index::BackgroundCheck check;
};

namespace index {

// Throws kInvalidArgument if dim, links, build_breadth or metric is out of range.
void check_options(const IndexOptions& options);

// What a search throws kInvalidArgument for; `queries` are those of a batch.
void check_options(const SearchOptions& options);
void check_queries(MatrixView queries, const IndexOptions& made_with);

// As options mean it: 0 is as many as the machine has.
std::size_t threads_for(std::uint32_t threads);

// Runs `work`; memory that runs out becomes an Error that says what for.
template <typename Work>
auto with_memory_for(const char* purpose, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("not enough memory to {}: nothing was changed", purpose));
  }
}

}  // namespace index
}  // namespace vsearch

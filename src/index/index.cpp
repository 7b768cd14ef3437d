#include "vsearch/index.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <unordered_map>

#include "index/index_impl.h"

namespace vsearch {
namespace {

constexpr std::array<std::pair<Storage, std::string_view>, 5> kStorageNames{{
    {Storage::kInt8, "int8"},
    {Storage::kFloat32, "float32"},
    {Storage::kFloat16, "float16"},
    {Storage::kBFloat16, "bfloat16"},
    {Storage::kCompact, "compact"},
}};

constexpr std::uint32_t kMaxDim = 65536;
constexpr std::uint32_t kMinLinks = 2;
constexpr std::uint32_t kMaxLinks = 256;
constexpr std::uint32_t kMaxBuildBreadth = 65536;

// Rows that are added together: few enough that most of their neighbours are in the graph already,
// and that searches do not wait long; as many as threads can share.
constexpr std::size_t kLeastBatch = 64;
constexpr std::size_t kMostBatch = 256;
constexpr std::size_t kBatchShare = 64;  // of the vectors that are there
constexpr std::size_t kListsPerLock = 256;
constexpr std::size_t kRemovalsPerLock = 256;
// Slots that a repair looks at for each vector added or removed, all of them under one lock: a
// repair that begins when one slot in 32 is removed ends before one in 64 more is.
constexpr std::size_t kRepairsPerChange = 64;
// Fewer removed vectors than this are not worth building the index anew.
constexpr std::size_t kRebuildMinimum = 64;

void check_rows(const IndexOptions& options, MatrixView rows, std::span<const Id> ids) {
  if (rows.rows != ids.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} rows but {} ids: give one id a row", rows.rows, ids.size()));
  }
  if (rows.rows == 0) return;
  if (rows.cols != options.dim) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("rows have {} dimensions but the index has {}: use the encoder the "
                            "index was made for",
                            rows.cols, options.dim));
  }
  for (std::size_t row = 0; row < rows.rows; ++row) {
    const std::string defect = index::vector_defect(rows.row(row), options);
    if (!defect.empty()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("row {} (id {}) {}: leave it out; nothing was added", row, ids[row], defect));
    }
  }
}

// The rows whose id does not stand in a later row too, in order.
std::vector<std::size_t> effective_rows(std::span<const Id> ids) {
  std::unordered_map<Id, std::size_t> last_row;
  last_row.reserve(ids.size());
  for (std::size_t row = 0; row < ids.size(); ++row) last_row[ids[row]] = row;
  std::vector<std::size_t> rows;
  rows.reserve(last_row.size());
  for (std::size_t row = 0; row < ids.size(); ++row) {
    if (last_row[ids[row]] == row) rows.push_back(row);
  }
  return rows;
}

// The least and the largest value of each dimension of some vectors.
struct Extremes {
  explicit Extremes(std::size_t dim)
      : least(dim, std::numeric_limits<float>::infinity()),
        most(dim, -std::numeric_limits<float>::infinity()) {}

  void take(std::span<const float> vector) {
    for (std::size_t i = 0; i < vector.size(); ++i) {
      least[i] = std::min(least[i], vector[i]);
      most[i] = std::max(most[i], vector[i]);
    }
  }

  std::vector<float> least;
  std::vector<float> most;
};

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

}  // namespace

std::string_view storage_name(Storage storage) {
  for (const auto& [value, name] : kStorageNames) {
    if (value == storage) return name;
  }
  return "unknown";
}

std::optional<Storage> find_storage(std::string_view name) {
  for (const auto& [value, known] : kStorageNames) {
    if (known == name) return value;
  }
  return std::nullopt;
}

namespace index {

void check_options(const IndexOptions& options) {
  const auto check = [](const char* name, std::uint32_t value, std::uint32_t low,
                        std::uint32_t high) {
    if (value < low || value > high) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("index option {} is {}: give {} to {}", name, value, low, high));
    }
  };
  check("dim", options.dim, 1, kMaxDim);
  check("metric", static_cast<std::uint32_t>(options.metric), 0,
        static_cast<std::uint32_t>(Metric::kL2));
  check("links", options.links, kMinLinks, kMaxLinks);
  check("build_breadth", options.build_breadth, 1, kMaxBuildBreadth);
  check("storage", static_cast<std::uint32_t>(options.storage), 0,
        static_cast<std::uint32_t>(Storage::kCompact));
}

std::size_t threads_for(std::uint32_t threads) {
  return threads > 0 ? threads : std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace index

// One row of an add() that is in place.
struct Index::Impl::Change {
  Id id;
  index::Slot slot;
  std::optional<index::Slot> replaced;
};

Index::Impl::Impl(const IndexOptions& options_) : options(options_), serial(next_serial()) {
  index::check_options(options);
  graph = std::make_unique<index::Graph>(options);
}

void Index::Impl::add(std::span<const Id> row_ids, const ReadRow& read, const Progress& progress) {
  const std::vector<std::size_t> effective = effective_rows(row_ids);
  std::vector<Change> changes;
  changes.reserve(effective.size());
  make_room(effective.size());
  Previous previous;
  // Once for all: to encode anew is to go through everything that is there.
  Extremes extremes(options.dim);
  std::vector<float> vector;
  for (const std::size_t row : effective) {
    read(row, vector);
    extremes.take(vector);
  }
  fit_encoding(*graph, extremes.least, extremes.most, previous);
  bool cancelled = false;
  std::vector<std::vector<float>> vectors;
  std::vector<Id> ids;
  for (std::size_t begin = 0; begin < effective.size(); begin += vectors.size()) {
    if (progress && !progress(effective[begin], row_ids.size())) {
      cancelled = true;
      break;
    }
    const std::size_t batch = std::clamp(graph->live() / kBatchShare, kLeastBatch, kMostBatch);
    const std::size_t end = std::min(begin + batch, effective.size());
    try {
      vectors.clear();
      ids.clear();
      for (std::size_t i = begin; i < end; ++i) {
        read(effective[i], vectors.emplace_back());
        ids.push_back(row_ids[effective[i]]);
      }
      insert(*graph, slots, vectors, ids, changes);
    } catch (...) {
      undo(changes, previous);
      throw;
    }
  }
  maintain(changes.size());
  if (cancelled || (progress && !progress(row_ids.size(), row_ids.size()))) {
    throw Error(ErrorCode::kCancelled,
                fmt::format("adding was cancelled: {} of {} vectors were added", changes.size(),
                            effective.size()));
  }
}

// So that nothing has to be allocated while searches pause.
void Index::Impl::make_room(std::size_t new_vectors) {
  if (graph->free_slots() < new_vectors) {
    const std::size_t needed = graph->capacity() - graph->free_slots() + new_vectors;
    if (needed > index::Graph::kMaxSlots) {
      throw Error(ErrorCode::kOutOfMemory,
                  fmt::format("an index holds at most {} vectors: nothing was added",
                              index::Graph::kMaxSlots));
    }
    const std::size_t capacity =
        std::min(std::max(needed, graph->capacity() * 3 / 2), index::Graph::kMaxSlots);
    const std::lock_guard lock(access);
    graph->reserve(capacity);
  }
  if (slots.capacity() < slots.size() + new_vectors) {
    index::IdTable larger = slots.grown(slots.size() + new_vectors);
    const std::lock_guard lock(access);
    std::swap(slots, larger);
  }
}

// An encoding of `into` that can take all vectors of which `least` and `most` are the extremes.
void Index::Impl::fit_encoding(index::Graph& into, std::span<const float> least,
                               std::span<const float> most, Previous& previous) {
  const std::span<const float> rows[] = {least, most};
  if (into.vectors().covers(rows)) return;
  index::VectorStore::Encoding encoding = into.plan_encoding(rows);
  wait_for_save();
  {
    const std::lock_guard lock(access);
    into.commit(encoding);
  }
  if (!previous) previous.emplace(std::move(encoding));
}

// Inserts into `into`, which has room and an encoding for them, and appends to `changes`, which has
// room, too.
void Index::Impl::insert(index::Graph& into, index::IdTable& table,
                         std::span<const std::vector<float>> vectors, std::span<const Id> ids,
                         std::vector<Change>& changes) {
  const std::vector<std::span<const float>> rows(vectors.begin(), vectors.end());
  const std::size_t lists = into.draw_levels(rows.size());
  if (into.free_upper() < lists) {
    const std::lock_guard lock(access);
    into.reserve_upper(lists);
  }
  const index::Insertions insertions =
      into.plan_insert(rows, ids, index::threads_for(options.threads));
  std::vector<index::Slot> replaced;
  replaced.reserve(ids.size());
  for (const index::Insertions::One& one : insertions.each) {
    const std::optional<index::Slot> slot = table.find(one.id);
    if (slot) replaced.push_back(*slot);
    changes.push_back({one.id, one.slot, slot});
  }
  const index::Entry entry = into.entry_without(replaced);
  {
    const std::lock_guard lock(access);
    ++change_count;
    vectors_changed += insertions.each.size();
    into.commit_remove(replaced, entry);
    into.commit_nodes(insertions);
    for (const index::Insertions::One& one : insertions.each) table.set(one.id, one.slot);
  }
  const std::size_t links = insertions.links.lists().size();
  for (std::size_t begin = 0; begin < links; begin += kListsPerLock) {
    const std::lock_guard lock(access);
    into.commit(insertions.links, begin, std::min(begin + kListsPerLock, links));
  }
}

void Index::Impl::undo(std::span<const Change> changes, Previous& previous) noexcept {
  for (const Change& change : changes) {
    const index::Entry entry = graph->entry_without({&change.slot, 1});
    const std::lock_guard lock(access);
    ++change_count;
    graph->commit_remove({&change.slot, 1}, entry);
    if (change.replaced) {
      graph->commit_restore(*change.replaced);
      slots.set(change.id, *change.replaced);
    } else {
      slots.erase(change.id);
    }
  }
  // From the first encoding there is no way back: what is removed is in it, too.
  if (!previous || previous->numbers.dim() == 0) return;
  const std::lock_guard lock(access);
  graph->commit(*previous);
}

// Makes slots of removed vectors usable again. Where there is no memory for that it waits for the
// next change.
void Index::Impl::maintain(std::size_t changes) noexcept {
  if (saving) return;  // it would free slots
  try {
    follow_vectors(changes);
    if (graph->removed() > graph->live() && graph->removed() >= kRebuildMinimum) {
      rebuild();
      return;
    }
    for (std::size_t change = 0; change < changes; ++change) {
      const index::RepairStep step = graph->plan_repair(kRepairsPerChange);
      if (step.end == 0) return;
      {
        const std::lock_guard lock(access);
        graph->commit(step);
      }
      for (const index::Slot slot : step.stranded) {
        const index::LinkChanges links = graph->plan_reconnect(slot);
        const std::lock_guard lock(access);
        graph->commit(links);
      }
    }
  } catch (const std::bad_alloc&) {
    return;
  }
}

// Once for as many changes as there are vectors, looks whether another encoding suits those that
// are left better. Few vectors are not worth the look.
void Index::Impl::follow_vectors(std::size_t changes) {
  changes_since_look += changes;
  if (changes_since_look < std::max(graph->live(), kLeastBatch)) return;
  changes_since_look = 0;
  std::optional<index::VectorStore::Encoding> better = graph->plan_better_encoding();
  if (!better) return;
  const std::lock_guard lock(access);
  graph->commit(*better);
}

// Less work than a repair when most vectors are gone, and gives their memory back. Searches use the
// old graph until the new one is complete.
void Index::Impl::rebuild() {
  auto fresh = std::make_unique<index::Graph>(options);
  fresh->reserve(graph->live());
  index::IdTable fresh_slots(graph->live());
  std::vector<Change> changes;
  changes.reserve(graph->live());
  Extremes extremes(options.dim);
  std::vector<float> vector(options.dim);
  for (index::Slot slot = 0; slot < graph->slots(); ++slot) {
    if (graph->state(slot) != index::SlotState::kLive) continue;
    graph->vectors().read(slot, vector);
    extremes.take(vector);
  }
  Previous none;  // the fresh graph had no other
  if (graph->live() > 0) fit_encoding(*fresh, extremes.least, extremes.most, none);
  std::vector<std::vector<float>> vectors;
  std::vector<Id> ids;
  for (index::Slot slot = 0; slot < graph->slots(); ++slot) {
    if (graph->state(slot) == index::SlotState::kLive) {
      graph->vectors().read(slot, vectors.emplace_back(options.dim));
      ids.push_back(graph->id(slot));
    }
    if (vectors.size() < kLeastBatch && slot + 1 < graph->slots()) continue;
    insert(*fresh, fresh_slots, vectors, ids, changes);
    vectors.clear();
    ids.clear();
  }
  put_in_place(std::move(fresh), std::move(fresh_slots));
}

// Searches use what there was until then.
void Index::Impl::put_in_place(std::unique_ptr<index::Graph> other,
                               index::IdTable other_slots) noexcept {
  wait_for_save();
  const std::lock_guard lock(access);
  ++change_count;
  ++graph_count;
  std::swap(graph, other);
  std::swap(slots, other_slots);
  vectors_changed += graph->live();
}

Index::Index(const IndexOptions& options) {
  impl_ = index::with_memory_for("make an index", [&] { return std::make_unique<Impl>(options); });
}
Index::Index(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Index::~Index() = default;
Index::Index(Index&&) noexcept = default;
Index& Index::operator=(Index&&) noexcept = default;

const IndexOptions& Index::options() const {
  return impl_->options;
}

std::uint64_t Index::size() const {
  impl_->check.throw_if_damaged();
  const std::shared_lock lock(impl_->access);
  return impl_->graph->live();
}

bool Index::contains(Id id) const {
  impl_->check.throw_if_damaged();
  const std::shared_lock lock(impl_->access);
  return impl_->slots.find(id).has_value();
}

std::vector<Id> Index::ids() const {
  impl_->check.throw_if_damaged();
  std::vector<Id> result = index::with_memory_for("list the ids", [&] {
    const std::shared_lock lock(impl_->access);
    return impl_->slots.ids();
  });
  std::sort(result.begin(), result.end());
  return result;
}

IndexStats Index::stats() const {
  impl_->check.throw_if_damaged();
  const std::shared_lock lock(impl_->access);
  const index::Graph& graph = *impl_->graph;
  const index::Graph::Memory memory = graph.memory();
  IndexStats stats;
  stats.size = graph.live();
  stats.removed = graph.removed();
  stats.capacity = graph.capacity();
  stats.vector_bytes = memory.vectors;
  stats.link_bytes = memory.links;
  stats.table_bytes = memory.nodes + impl_->slots.memory_bytes();
  stats.free_bytes = memory.unused;
  stats.walked_bytes = memory.walked;
  stats.memory_bytes = stats.vector_bytes + stats.link_bytes + stats.table_bytes + stats.free_bytes;
  return stats;
}

void Index::add(MatrixView rows, std::span<const Id> ids, const Progress& progress) {
  check_rows(impl_->options, rows, ids);
  if (rows.rows == 0) return;
  impl_->check.wait();
  const auto read = [&](std::size_t row, std::vector<float>& vector) {
    vector = index::prepared(rows.row(row), impl_->options.metric);
  };
  // What the callback throws is no failure of ours: it cancels, and goes back to who gave it.
  std::exception_ptr thrown;
  Progress guarded;
  if (progress) {
    guarded = [&](std::uint64_t done, std::uint64_t total) {
      try {
        return progress(done, total);
      } catch (...) {
        thrown = std::current_exception();
        return false;
      }
    };
  }
  try {
    const std::lock_guard writer(impl_->writer);
    index::with_memory_for("add vectors", [&] { impl_->add(ids, read, guarded); });
  } catch (const Error&) {
    if (thrown) std::rethrow_exception(thrown);
    throw;
  }
}

std::uint64_t Index::remove(std::span<const Id> ids) {
  impl_->check.wait();
  const std::lock_guard writer(impl_->writer);
  index::Graph& graph = *impl_->graph;
  std::uint64_t removed = 0;
  for (std::size_t begin = 0; begin < ids.size(); begin += kRemovalsPerLock) {
    std::array<index::Slot, kRemovalsPerLock> found;  // not a vector: removing needs no memory
    auto end = found.begin();
    for (const Id id : ids.subspan(begin, std::min(kRemovalsPerLock, ids.size() - begin))) {
      if (const std::optional<index::Slot> slot = impl_->slots.find(id)) *end++ = *slot;
    }
    std::sort(found.begin(), end);  // an id may stand there twice
    const std::span<const index::Slot> leaving(found.begin(), std::unique(found.begin(), end));
    if (leaving.empty()) continue;
    const index::Entry entry = graph.entry_without(leaving);
    const std::lock_guard lock(impl_->access);
    ++impl_->change_count;
    impl_->vectors_changed += leaving.size();
    for (const index::Slot slot : leaving) impl_->slots.erase(graph.id(slot));
    graph.commit_remove(leaving, entry);
    removed += leaving.size();
  }
  impl_->maintain(removed);
  return removed;
}

std::vector<float> Index::vector(Id id) const {
  impl_->check.throw_if_damaged();
  return index::with_memory_for("copy a vector", [&] {
    const std::shared_lock lock(impl_->access);
    const std::optional<index::Slot> slot = impl_->slots.find(id);
    if (!slot) {
      throw Error(ErrorCode::kKeyNotFound, fmt::format("no vector with id {} in the index", id));
    }
    std::vector<float> stored(impl_->options.dim);
    impl_->graph->vectors().read(*slot, stored);
    return stored;
  });
}

}  // namespace vsearch

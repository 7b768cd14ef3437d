// How a search is carried out: a walk of the graph, or a comparison with every vector that matches.
#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "index/index_impl.h"
#include "util/parallel.h"

namespace vsearch {
namespace {

bool nearer(const Neighbor& a, const Neighbor& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
}

// Keeps the k nearest of what it is given.
class Nearest {
 public:
  explicit Nearest(std::size_t k) : k_(k) {}

  void offer(const Neighbor& neighbour) {
    if (heap_.size() == k_) {
      if (!nearer(neighbour, heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end(), nearer);
      heap_.back() = neighbour;
    } else {
      heap_.push_back(neighbour);
    }
    std::push_heap(heap_.begin(), heap_.end(), nearer);
  }

  std::vector<Neighbor> take() {
    std::sort_heap(heap_.begin(), heap_.end(), nearer);
    return std::move(heap_);
  }

 private:
  std::size_t k_;
  std::vector<Neighbor> heap_;  // the farthest first
};

// What rounding adds beyond the range of 1 - cosine is cut off.
float reported(float distance, Metric metric) {
  return metric == Metric::kCosine ? std::clamp(distance, 0.0F, 2.0F) : distance;
}

// Whether comparing with all of `matches` vectors costs less than a walk with `breadth` candidates,
// of which each makes the walk look at some thirty others, and the more the fewer match: then it
// looks behind those that do not.
bool scan_is_cheaper(std::size_t matches, std::size_t breadth, std::size_t live) {
  constexpr double kComparedPerCandidate = 25.0;
  constexpr double kBridges = 3.0;
  const double share = static_cast<double>(matches) / static_cast<double>(live);
  return static_cast<double>(matches) <=
         kComparedPerCandidate * static_cast<double>(breadth) * (1.0 + kBridges * (1.0 - share));
}

// Distances as walks see them are computed for so many slots at a time.
constexpr std::size_t kScanTogether = 256;

// What a walk or a scan found is put right by exact distances, for so many candidates more than are
// wanted. Without that, recall in int8 stops at .97 to .98; more of them gain nothing at .99.
constexpr std::size_t kRescored = 20;

// Queries of a batch that are answered together: while the memory that one walk waits for is on its
// way, the others go on.
constexpr std::size_t kQueriesTogether = 4;

// A search for the neighbours of some queries.
class Search {
 public:
  // `filter`: what stands behind options.filter, null if there is none.
  Search(const index::Graph& graph, const index::IdTable& slots, index::Version version,
         Metric metric, const SearchOptions& options, IdFilter::Impl* filter)
      : graph_(graph),
        slots_(slots),
        version_(version),
        metric_(metric),
        options_(options),
        filter_(filter) {}

  // As many results as queries.
  void run(std::span<const std::vector<float>> queries, std::span<std::vector<Neighbor>> results) {
    const std::size_t live = graph_.live();
    // Those of the filter that are in the index may be fewer.
    const std::size_t matches =
        filter_ == nullptr
            ? live
            : static_cast<std::size_t>(std::min<std::uint64_t>(options_.filter->size(), live));
    if (matches == 0) return;
    for (const std::vector<float>& query : queries) {
      memories_.emplace_back(graph_.walk_memories());
      memories_.back()->report = {};
      graph_.vectors().prepare(query, memories_.back()->query);
    }
    const std::size_t breadth = std::max(options_.breadth, options_.k);
    const bool walks = !options_.exact && !scan_is_cheaper(matches, breadth, live);
    if (walks) walk(breadth, static_cast<double>(matches) / static_cast<double>(live));
    for (std::size_t i = 0; i < queries.size(); ++i) {
      if (walks) results[i] = rescored(*memories_[i]);
      // A walk does not reach what no link leads to, nor what lies on the far side of everything.
      const bool enough = results[i].size() >= std::min<std::size_t>(options_.k, matches);
      if (!walks || !enough) results[i] = scan(*memories_[i]);
    }
  }

  SearchReport report() const {
    SearchReport sum;
    for (const auto& memory : memories_) {
      sum.distances += memory->report.distances;
      sum.expanded += memory->report.expanded;
    }
    return sum;
  }

 private:
  std::shared_ptr<const index::MatchingSlots> matching(bool needed) const {
    return filter_->matching(slots_, graph_.slots(), version_, needed);
  }

  // `share`: of the vectors that match, if there is a filter.
  void walk(std::size_t breadth, double share) {
    std::vector<index::WalkMemory*> walks;
    for (const auto& memory : memories_) walks.push_back(&*memory);
    if (filter_ == nullptr) {
      graph_.walk(breadth, nullptr, walks);
      return;
    }
    const auto found = matching(false);
    const std::vector<index::Slot> seeds =
        found ? std::vector<index::Slot>() : filter_->seeds(slots_);
    const index::SlotFilter filter{options_.filter, found.get(), found ? found->seeds : seeds,
                                   share};
    graph_.walk(breadth, &filter, walks);
  }

  std::vector<Neighbor> scan(index::WalkMemory& memory) const {
    if (filter_ != nullptr) {
      const auto found = matching(true);
      return options_.exact ? exactly(found->slots, memory) : near(found->slots, memory);
    }
    std::vector<index::Slot> all;
    all.reserve(graph_.live());
    for (index::Slot slot = 0; slot < graph_.slots(); ++slot) {
      if (graph_.state(slot) == index::SlotState::kLive) all.push_back(slot);
    }
    return options_.exact ? exactly(all, memory) : near(all, memory);
  }

  std::vector<Neighbor> exactly(std::span<const index::Slot> matching,
                                index::WalkMemory& memory) const {
    Nearest nearest(options_.k);
    for (const index::Slot slot : matching) nearest.offer(neighbour(slot, memory));
    memory.report.distances += matching.size();
    return nearest.take();
  }

  std::vector<Neighbor> near(std::span<const index::Slot> matching,
                             index::WalkMemory& memory) const {
    // Not as tight as after a walk: nobody has looked at the neighbours of these.
    const std::size_t kept = std::size_t{2} * options_.k + kRescored;
    index::Pool& pool = memory.pool;
    pool.begin(std::min(kept, matching.size()));
    memory.distances.resize(std::max(memory.distances.size(), kScanTogether));
    float* const distances = memory.distances.data();
    for (std::size_t begin = 0; begin < matching.size(); begin += kScanTogether) {
      const auto part = matching.subspan(begin, std::min(kScanTogether, matching.size() - begin));
      graph_.vectors().near(memory.query, part, distances);
      for (std::size_t i = 0; i < part.size(); ++i) pool.offer(distances[i], part[i]);
    }
    memory.report.distances += matching.size();
    Nearest nearest(options_.k);
    for (std::size_t i = 0; i < pool.size(); ++i) nearest.offer(neighbour(pool.slot(i), memory));
    return nearest.take();
  }

  std::vector<Neighbor> rescored(const index::WalkMemory& memory) const {
    const std::vector<index::Candidate>& found = memory.found;
    const std::size_t count = std::min<std::size_t>(found.size(), options_.k + kRescored);
    Nearest nearest(options_.k);
    for (std::size_t i = 0; i < count; ++i) nearest.offer(neighbour(found[i].slot, memory));
    return nearest.take();
  }

  Neighbor neighbour(index::Slot slot, const index::WalkMemory& memory) const {
    return {graph_.id(slot), reported(graph_.vectors().exact(memory.query, slot), metric_)};
  }

  const index::Graph& graph_;
  const index::IdTable& slots_;
  const index::Version version_;
  const Metric metric_;
  const SearchOptions& options_;
  IdFilter::Impl* const filter_;
  std::deque<index::WalkMemories::Lease> memories_;  // of the queries
};

}  // namespace

namespace {

void check_options(const SearchOptions& options) {
  if (options.k == 0) {
    throw Error(ErrorCode::kInvalidArgument, "k is 0: ask for at least one neighbour");
  }
}

// `name`: of the query, in messages.
void check_query(std::span<const float> query, const IndexOptions& made_with,
                 const std::string& name) {
  if (query.size() != made_with.dim) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} has {} dimensions but the index has {}: use the encoder the index "
                            "was made for",
                            name, query.size(), made_with.dim));
  }
  const std::string defect = index::vector_defect(query, made_with.metric);
  if (!defect.empty()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} {}", name, defect));
  }
}

}  // namespace

SearchReport Index::Impl::search(std::span<const std::span<const float>> queries,
                                 const SearchOptions& search_options,
                                 std::span<std::vector<Neighbor>> results) const {
  std::vector<std::vector<float>> prepared;
  for (const auto query : queries) prepared.push_back(index::prepared(query, options.metric));
  IdFilter::Impl* const filter =
      search_options.filter == nullptr ? nullptr : search_options.filter->impl_.get();
  const std::shared_lock lock(access);
  Search search(*graph, slots, version(), options.metric, search_options, filter);
  search.run(prepared, results);
  return search.report();
}

std::vector<Neighbor> Index::search(std::span<const float> query,
                                    const SearchOptions& options) const {
  check_query(query, impl_->options, "the query");
  check_options(options);
  return index::with_memory_for("search", [&] {
    std::vector<Neighbor> result;
    const SearchReport report = impl_->search({&query, 1}, options, {&result, 1});
    if (options.report != nullptr) *options.report = report;
    return result;
  });
}

std::vector<std::vector<Neighbor>> Index::search_batch(MatrixView queries,
                                                       const SearchOptions& options) const {
  check_options(options);
  for (std::size_t row = 0; row < queries.rows; ++row) {
    check_query(queries.row(row), impl_->options, fmt::format("query {}", row));
  }
  return index::with_memory_for("search", [&] {
    std::vector<std::span<const float>> rows;
    for (std::size_t row = 0; row < queries.rows; ++row) rows.push_back(queries.row(row));
    std::vector<std::vector<Neighbor>> results(rows.size());
    const std::size_t groups = (rows.size() + kQueriesTogether - 1) / kQueriesTogether;
    SearchReport report;
    std::mutex mutex;  // of the report
    util::share(groups, index::threads_for(options.threads), [&](const auto& next) {
      while (const std::optional<std::size_t> group = next()) {
        const std::size_t begin = *group * kQueriesTogether;
        const std::size_t count = std::min(kQueriesTogether, rows.size() - begin);
        const SearchReport part = impl_->search(std::span(rows).subspan(begin, count), options,
                                                std::span(results).subspan(begin, count));
        const std::lock_guard lock(mutex);
        report.distances += part.distances;
        report.expanded += part.expanded;
      }
    });
    if (options.report != nullptr) *options.report = report;
    return results;
  });
}

}  // namespace vsearch

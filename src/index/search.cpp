// How a search is carried out: a walk of the graph, or a comparison with every vector that matches.
#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "index/exact.h"
#include "index/index_impl.h"
#include "index/nearest.h"
#include "util/parallel.h"

namespace vsearch {
namespace {

// Whether comparing with all of `matches` vectors costs less than a walk that expands `expected`
// candidates. Times are those of one comparison in a scan; they were measured with 10,000 to
// 300,000 vectors of 384 dimensions.
bool scan_is_cheaper(std::size_t matches, std::size_t expected, std::size_t live) {
  constexpr double kBegin = 700.0;
  constexpr double kCandidate = 30.0;  // with its neighbours
  constexpr double kMatch = 140.0;     // where a walk goes from match to match, over others
  const double share = static_cast<double>(matches) / static_cast<double>(live);
  const double candidates = static_cast<double>(expected);
  const double walk = kBegin + std::min(kCandidate / share, kMatch) * candidates;
  return static_cast<double>(matches) <= walk;
}

// Distances as walks see them are computed for so many slots at a time.
constexpr std::size_t kScanTogether = 256;

// One search that may miss some.
class Search {
 public:
  // `filter`: what stands behind options.filter, null if there is none.
  Search(const index::Graph& graph, const index::IdTable& slots, index::Version version,
         Metric metric, const SearchOptions& options, const index::Effort& effort,
         IdFilter::Impl* filter)
      : graph_(graph),
        slots_(slots),
        version_(version),
        metric_(metric),
        options_(options),
        effort_(effort),
        filter_(filter),
        memory_(graph.walk_memories()) {
    memory_->report = {};
  }

  const SearchReport& report() const { return memory_->report; }

  std::vector<Neighbor> run(std::span<const float> query) {
    const std::size_t live = graph_.live();
    // Those of the filter that are in the index may be fewer.
    const std::size_t matches =
        filter_ == nullptr
            ? live
            : static_cast<std::size_t>(std::min<std::uint64_t>(options_.filter->size(), live));
    if (matches == 0) return {};
    graph_.vectors().prepare(query, memory_->query);
    if (!scan_is_cheaper(matches, effort_.expected, live)) {
      std::vector<Neighbor> result = walk(static_cast<double>(matches) / static_cast<double>(live));
      const std::size_t wanted = std::min<std::size_t>(options_.k, matches);
      if (result.size() < wanted && filter_ == nullptr && graph_.removed() > 0) {
        // Removed vectors have taken more places than they do on average.
        effort_ = {2 * effort_.breadth + graph_.vectors().to_compare(options_.k, 0)};
        result = walk(1.0);
      }
      // A walk does not reach what no link leads to, nor what lies on the far side of everything.
      if (result.size() >= wanted) return result;
    }
    return scan();
  }

 private:
  std::shared_ptr<const index::MatchingSlots> matching(bool needed) const {
    return filter_->matching(slots_, graph_.slots(), version_, needed);
  }

  // `share`: of the vectors that match, if there is a filter.
  std::vector<Neighbor> walk(double share) {
    if (filter_ == nullptr) {
      graph_.walk(effort_, nullptr, *memory_);
    } else {
      const auto found = matching(false);
      const std::vector<index::Slot> seeds =
          found ? std::vector<index::Slot>() : filter_->seeds(slots_);
      const index::SlotFilter filter{options_.filter, found.get(), found ? found->seeds : seeds,
                                     share};
      graph_.walk(effort_, &filter, *memory_);
    }
    return rescored();
  }

  std::vector<Neighbor> scan() {
    if (filter_ != nullptr) return near(matching(true)->slots);
    return near(index::live_slots(graph_));
  }

  // Not as tight as after a walk: nobody has looked at the neighbours of these.
  std::vector<Neighbor> near(std::span<const index::Slot> matching) {
    const std::size_t first = options_.k + graph_.vectors().to_compare(options_.k, 0);
    index::Nearest<> nearest(options_.k);
    if (found_near(matching, first, nearest)) return nearest.take();
    // Far from the query many are nearly as far as each other, and walks see less than what tells
    // them apart.
    nearest.take();
    found_near(matching, 8 * first, nearest);
    return nearest.take();
  }

  // Compares all exactly that are among the `kept` nearest as walks see them. False if others may
  // be nearer, by the largest error that was met.
  bool found_near(std::span<const index::Slot> matching, std::size_t kept,
                  index::Nearest<>& nearest) {
    index::Pool& pool = memory_->pool;
    pool.begin({std::min(kept, matching.size())}, 0.0F);
    memory_->distances.resize(std::max(memory_->distances.size(), kScanTogether));
    float* const distances = memory_->distances.data();
    for (std::size_t begin = 0; begin < matching.size(); begin += kScanTogether) {
      const auto part = matching.subspan(begin, std::min(kScanTogether, matching.size() - begin));
      graph_.vectors().near(memory_->query, part, distances);
      for (std::size_t i = 0; i < part.size(); ++i) pool.offer(distances[i], part[i]);
    }
    memory_->report.distances += matching.size();
    float error = 0;
    const auto slot_of = [&](std::size_t i) { return pool.slot(i); };
    for_each_exactly(pool.size(), slot_of, [&](std::size_t i, const Neighbor& next) {
      error = std::max(error, std::abs(next.distance - pool.distance(i)));
      nearest.offer(next);
      return true;
    });
    // Distances to what is damaged may be no numbers: none of them is kept.
    return pool.size() == matching.size() || pool.size() == 0 ||
           pool.distance(pool.size() - 1) - error > nearest.farthest();
  }

  // Of what a walk has found, nearest first. It ends where others seem farther than the k nearest
  // by more than the largest error that was met.
  std::vector<Neighbor> rescored() {
    const std::vector<index::Candidate>& found = memory_->found;
    const std::size_t count =
        std::min(found.size(), graph_.vectors().to_compare(options_.k, memory_->report.expanded));
    index::Nearest<> nearest(options_.k);
    float error = 0;
    const auto slot_of = [&](std::size_t i) { return found[i].slot; };
    for_each_exactly(count, slot_of, [&](std::size_t i, const Neighbor& next) {
      error = std::max(error, std::abs(next.distance - found[i].distance));
      nearest.offer(next);
      return !nearest.full() || i + 1 == count ||
             found[i + 1].distance - error <= nearest.farthest();
    });
    return nearest.take();
  }

  // Compares exactly, in turn, until `use` returns false, and asks early for what will be read.
  template <typename SlotOf, typename Use>
  void for_each_exactly(std::size_t count, SlotOf slot_of, Use use) const {
    constexpr std::size_t kAhead = 4;
    for (std::size_t i = 0; i < std::min(kAhead, count); ++i) graph_.prefetch_exact(slot_of(i));
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) graph_.prefetch_exact(slot_of(i + kAhead));
      if (!use(i, neighbour(slot_of(i)))) return;
    }
  }

  Neighbor neighbour(index::Slot slot) const {
    return {graph_.id(slot),
            index::reported(graph_.vectors().exact(memory_->query, slot), metric_)};
  }

  const index::Graph& graph_;
  const index::IdTable& slots_;
  const index::Version version_;
  const Metric metric_;
  const SearchOptions& options_;
  index::Effort effort_;
  IdFilter::Impl* const filter_;
  const index::WalkMemories::Lease memory_;
};

}  // namespace

namespace index {

void check_options(const SearchOptions& options) {
  if (options.k == 0) {
    throw Error(ErrorCode::kInvalidArgument, "k is 0: ask for at least one neighbour");
  }
  if (!(options.recall >= 0.0 && options.recall < 1.0)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("recall is {}: give a share below 1, such as 0.95, or ask for exact "
                            "search",
                            options.recall));
  }
}

namespace {

// `name`: of the query, in messages.
void check_query(std::span<const float> query, const IndexOptions& made_with,
                 const std::string& name) {
  if (query.size() != made_with.dim) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} has {} dimensions but the index has {}: use the encoder the index "
                            "was made for",
                            name, query.size(), made_with.dim));
  }
  const std::string defect = vector_defect(query, made_with.metric);
  if (!defect.empty()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} {}", name, defect));
  }
}

}  // namespace

void check_queries(MatrixView queries, const IndexOptions& made_with) {
  for (std::size_t row = 0; row < queries.rows; ++row) {
    check_query(queries.row(row), made_with, fmt::format("query {}", row));
  }
}

}  // namespace index

std::vector<Neighbor> Index::Impl::search(std::span<const float> query,
                                          const SearchOptions& search_options,
                                          SearchReport& report) const {
  check.throw_if_damaged();
  if (search_options.exact) {
    std::vector<Neighbor> result;
    report = search_exactly({query.data(), 1, query.size()}, search_options, {&result, 1});
    return result;
  }
  const std::vector<float> prepared = index::prepared(query, options.metric);
  index::Effort effort{std::max(search_options.breadth, search_options.k)};
  if (search_options.recall > 0.0) effort = effort_for(search_options.recall, search_options.k);
  IdFilter::Impl* const filter =
      search_options.filter == nullptr ? nullptr : search_options.filter->impl_.get();
  const std::shared_lock lock(access);
  Search search(*graph, slots, version(), options.metric, search_options, effort, filter);
  std::vector<Neighbor> result = search.run(prepared);
  report = search.report();
  return result;
}

index::Effort Index::Impl::effort_for(double recall, std::size_t k) const {
  std::size_t live = 0;
  {
    const std::shared_lock reading(access);
    live = graph->live();
  }
  // Walks for so many would see most of the vectors: they are all compared, and nothing is measured
  // before.
  constexpr std::size_t kWorthWalking = 8;
  if (k >= live / kWorthWalking) return {std::max(k, live)};
  return calibration(k)->effort(recall, k);
}

std::shared_ptr<const index::Calibration> Index::Impl::calibration(std::size_t k) const {
  check.wait();  // it sorts distances, which damaged vectors might not allow
  // Of many it matters little how many they are.
  const std::size_t rounded = k <= 32 ? k : std::bit_ceil(k);
  const std::lock_guard lock(calibrating);
  std::uint64_t changes = 0;
  std::size_t live = 0;
  {
    const std::shared_lock reading(access);
    changes = vectors_changed;
    live = graph->live();
  }
  Calibrated& calibrated = calibrations[rounded];
  if (!calibrated.found || changes > calibrated.made_at + calibrated.live) {
    const auto on_graph = [this](const std::function<void(const index::Graph&)>& work) {
      const std::shared_lock reading(access);
      work(*graph);
    };
    calibrated = {std::make_shared<index::Calibration>(on_graph, calibration_queries, rounded),
                  changes, live};
  }
  return calibrated.found;
}

void Index::calibrate(MatrixView queries) const {
  constexpr std::size_t kMost = 256;
  index::check_queries(queries, impl_->options);
  index::with_memory_for("calibrate", [&] {
    std::vector<std::vector<float>> prepared;
    for (std::size_t row = 0; row < std::min(queries.rows, kMost); ++row) {
      prepared.push_back(index::prepared(queries.row(row), impl_->options.metric));
    }
    {
      const std::lock_guard lock(impl_->calibrating);
      impl_->calibration_queries = std::move(prepared);
      impl_->calibrations.clear();
    }
    static_cast<void>(impl_->calibration(SearchOptions().k));
  });
}

std::vector<Neighbor> Index::search(std::span<const float> query,
                                    const SearchOptions& options) const {
  index::check_query(query, impl_->options, "the query");
  index::check_options(options);
  return index::with_memory_for("search", [&] {
    SearchReport report;
    std::vector<Neighbor> result = impl_->search(query, options, report);
    if (options.report != nullptr) *options.report = report;
    return result;
  });
}

std::vector<std::vector<Neighbor>> Index::search_batch(MatrixView queries,
                                                       const SearchOptions& options) const {
  index::check_options(options);
  index::check_queries(queries, impl_->options);
  return index::with_memory_for("search", [&] {
    std::vector<std::vector<Neighbor>> results(queries.rows);
    if (options.exact) {
      const SearchReport report = impl_->search_exactly(queries, options, results);
      if (options.report != nullptr) *options.report = report;
      return results;
    }
    std::vector<SearchReport> reports(queries.rows);
    util::share(queries.rows, index::threads_for(options.threads), [&](const auto& next) {
      while (const std::optional<std::size_t> row = next()) {
        results[*row] = impl_->search(queries.row(*row), options, reports[*row]);
      }
    });
    if (options.report != nullptr) {
      *options.report = {};
      for (const SearchReport& report : reports) {
        options.report->distances += report.distances;
        options.report->expanded += report.expanded;
      }
    }
    return results;
  });
}

}  // namespace vsearch

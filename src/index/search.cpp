// How a search is carried out: a walk of the graph, or a comparison with every vector that matches.
#include <algorithm>
#include <memory>
#include <shared_mutex>

#include "index/index_impl.h"

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

// One search.
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
        filter_(filter),
        memory_(graph.walk_memory()) {
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
    const std::size_t breadth = std::max(options_.breadth, options_.k);
    if (!options_.exact && !scan_is_cheaper(matches, breadth, live)) {
      std::vector<Neighbor> result =
          walk(breadth, static_cast<double>(matches) / static_cast<double>(live));
      // A walk does not reach what no link leads to, nor what lies on the far side of everything.
      if (result.size() >= std::min<std::size_t>(options_.k, matches)) return result;
    }
    return scan();
  }

 private:
  std::shared_ptr<const index::MatchingSlots> matching(bool needed) const {
    return filter_->matching(slots_, graph_.slots(), version_, needed);
  }

  // `share`: of the vectors that match, if there is a filter.
  std::vector<Neighbor> walk(std::size_t breadth, double share) {
    if (filter_ == nullptr) {
      graph_.walk(breadth, nullptr, *memory_);
    } else {
      const auto found = matching(false);
      const std::vector<index::Slot> seeds =
          found ? std::vector<index::Slot>() : filter_->seeds(slots_);
      const index::SlotFilter filter{options_.filter, found.get(), found ? found->seeds : seeds,
                                     share};
      graph_.walk(breadth, &filter, *memory_);
    }
    return rescored();
  }

  std::vector<Neighbor> scan() {
    if (filter_ != nullptr) {
      const auto found = matching(true);
      return options_.exact ? exactly(found->slots) : near(found->slots);
    }
    std::vector<index::Slot> all;
    all.reserve(graph_.live());
    for (index::Slot slot = 0; slot < graph_.slots(); ++slot) {
      if (graph_.state(slot) == index::SlotState::kLive) all.push_back(slot);
    }
    return options_.exact ? exactly(all) : near(all);
  }

  std::vector<Neighbor> exactly(std::span<const index::Slot> matching) {
    Nearest nearest(options_.k);
    for (const index::Slot slot : matching) nearest.offer(neighbour(slot));
    memory_->report.distances += matching.size();
    return nearest.take();
  }

  std::vector<Neighbor> near(std::span<const index::Slot> matching) {
    // Not as tight as after a walk: nobody has looked at the neighbours of these.
    const std::size_t kept = std::size_t{2} * options_.k + kRescored;
    index::Pool& pool = memory_->pool;
    pool.begin(std::min(kept, matching.size()));
    memory_->distances.resize(std::max(memory_->distances.size(), kScanTogether));
    float* const distances = memory_->distances.data();
    for (std::size_t begin = 0; begin < matching.size(); begin += kScanTogether) {
      const auto part = matching.subspan(begin, std::min(kScanTogether, matching.size() - begin));
      graph_.vectors().near(memory_->query, part, distances);
      for (std::size_t i = 0; i < part.size(); ++i) pool.offer(distances[i], part[i]);
    }
    memory_->report.distances += matching.size();
    Nearest nearest(options_.k);
    for (std::size_t i = 0; i < pool.size(); ++i) nearest.offer(neighbour(pool.slot(i)));
    return nearest.take();
  }

  std::vector<Neighbor> rescored() {
    const std::vector<index::Candidate>& found = memory_->found;
    const std::size_t count = std::min<std::size_t>(found.size(), options_.k + kRescored);
    Nearest nearest(options_.k);
    for (std::size_t i = 0; i < count; ++i) nearest.offer(neighbour(found[i].slot));
    return nearest.take();
  }

  Neighbor neighbour(index::Slot slot) const {
    return {graph_.id(slot), reported(graph_.vectors().exact(memory_->query, slot), metric_)};
  }

  const index::Graph& graph_;
  const index::IdTable& slots_;
  const index::Version version_;
  const Metric metric_;
  const SearchOptions& options_;
  IdFilter::Impl* const filter_;
  const index::WalkMemories::Lease memory_;
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

std::vector<Neighbor> Index::search(std::span<const float> query,
                                    const SearchOptions& options) const {
  const IndexOptions& made_with = impl_->options;
  check_query(query, made_with, "the query");
  check_options(options);
  return index::with_memory_for("search", [&] {
    const std::vector<float> prepared = index::prepared(query, made_with.metric);
    const std::shared_lock lock(impl_->access);
    IdFilter::Impl* const filter =
        options.filter == nullptr ? nullptr : options.filter->impl_.get();
    Search search(*impl_->graph, impl_->slots, impl_->version(), made_with.metric, options, filter);
    std::vector<Neighbor> result = search.run(prepared);
    if (options.report != nullptr) *options.report = search.report();
    return result;
  });
}

std::vector<std::vector<Neighbor>> Index::search_batch(MatrixView queries,
                                                       const SearchOptions& options) const {
  check_options(options);
  for (std::size_t row = 0; row < queries.rows; ++row) {
    check_query(queries.row(row), impl_->options, fmt::format("query {}", row));
  }
  std::vector<std::vector<Neighbor>> results;
  for (std::size_t row = 0; row < queries.rows; ++row) {
    results.push_back(search(queries.row(row), options));
  }
  return results;
}

}  // namespace vsearch

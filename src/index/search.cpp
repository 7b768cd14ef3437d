// How a search is carried out: a walk of the graph, or a comparison with every vector that matches.
#include <algorithm>
#include <functional>
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

// Whether comparing with all of `matches` vectors costs less than a walk that looks for `breadth`
// of them among `live`. A walk computes about kDistancesPerCandidate * breadth distances if all
// match, live / matches times as many if not all do, and at most one a vector; each of them costs
// about kWalkCost times as much as one of a scan. Measured on 20,000 vectors of 128 and of 512
// dimensions with breadth 64, both cost the same at 4,000 to 8,000 matches; this says 5,060.
bool scan_is_cheaper(std::size_t matches, std::size_t breadth, std::size_t live) {
  constexpr double kDistancesPerCandidate = 10.0;
  constexpr double kWalkCost = 2.0;
  const auto all = static_cast<double>(live);
  const auto some = static_cast<double>(matches);
  const double walked =
      std::min(all, kDistancesPerCandidate * static_cast<double>(breadth) * all / some);
  return some <= kWalkCost * walked;
}

// Distances as walks see them are computed for so many slots at a time.
constexpr std::size_t kScanTogether = 256;

// What a walk or a scan found is put right by exact distances, for so many candidates more than are
// wanted. Without that, recall in int8 stops at .97 to .98; more of them gain nothing at .99.
constexpr std::size_t kRescored = 20;

// One search.
class Search {
 public:
  Search(const index::Graph& graph, const index::IdTable& slots, Metric metric,
         const SearchOptions& options)
      : graph_(graph),
        slots_(slots),
        metric_(metric),
        options_(options),
        memory_(graph.walk_memory()) {}

  std::vector<Neighbor> run(std::span<const float> query) {
    const std::size_t live = graph_.live();
    // Those of the filter that are in the index may be fewer.
    const std::size_t matches =
        options_.filter == nullptr
            ? live
            : static_cast<std::size_t>(std::min<std::uint64_t>(options_.filter->size(), live));
    if (matches == 0) return {};
    graph_.vectors().prepare(query, memory_->query);
    const std::size_t breadth = std::max(options_.breadth, options_.k);
    if (!options_.exact && !scan_is_cheaper(matches, breadth, live)) {
      std::vector<Neighbor> result = walk(breadth);
      // A walk does not reach what no link leads to.
      if (result.size() >= std::min<std::size_t>(options_.k, matches)) return result;
    }
    return scan();
  }

 private:
  std::vector<Neighbor> walk(std::size_t breadth) {
    if (options_.filter == nullptr) {
      graph_.walk(breadth, nullptr, *memory_);
    } else {
      const std::function<bool(index::Slot)> matches = [this](index::Slot slot) {
        return options_.filter->contains(graph_.id(slot));
      };
      graph_.walk(breadth, &matches, *memory_);
    }
    return rescored();
  }

  std::vector<Neighbor> scan() {
    std::vector<index::Slot> matching;
    if (options_.filter != nullptr && options_.filter->size() < graph_.live()) {
      for (const Id id : options_.filter->ids()) {
        if (const std::optional<index::Slot> slot = slots_.find(id)) matching.push_back(*slot);
      }
    } else {
      for (index::Slot slot = 0; slot < graph_.slots(); ++slot) {
        if (graph_.state(slot) != index::SlotState::kLive) continue;
        if (options_.filter == nullptr || options_.filter->contains(graph_.id(slot))) {
          matching.push_back(slot);
        }
      }
    }
    return options_.exact ? exactly(matching) : near(matching);
  }

  std::vector<Neighbor> exactly(std::span<const index::Slot> matching) {
    Nearest nearest(options_.k);
    for (const index::Slot slot : matching) nearest.offer(neighbour(slot));
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
  const Metric metric_;
  const SearchOptions& options_;
  const index::WalkMemories::Lease memory_;
};

}  // namespace

std::vector<Neighbor> Index::search(std::span<const float> query,
                                    const SearchOptions& options) const {
  const IndexOptions& made_with = impl_->options;
  if (query.size() != made_with.dim) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the query has {} dimensions but the index has {}: use the encoder the "
                            "index was made for",
                            query.size(), made_with.dim));
  }
  if (options.k == 0) {
    throw Error(ErrorCode::kInvalidArgument, "k is 0: ask for at least one neighbour");
  }
  const std::string defect = index::vector_defect(query, made_with.metric);
  if (!defect.empty()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("the query {}", defect));
  }
  return index::with_memory_for("search", [&] {
    const std::vector<float> prepared = index::prepared(query, made_with.metric);
    const std::shared_lock lock(impl_->access);
    return Search(*impl_->graph, impl_->slots, made_with.metric, options).run(prepared);
  });
}

}  // namespace vsearch

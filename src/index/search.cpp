// How a search is carried out: a walk of the graph, or a comparison with every vector that matches.
#include <algorithm>
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

std::vector<Neighbor> scan(const index::Graph& graph, const index::IdTable& slots, Metric metric,
                           const float* query, std::size_t k, const IdFilter* filter) {
  Nearest nearest(k);
  const auto offer = [&](index::Slot slot) {
    nearest.offer({graph.id(slot), reported(graph.distance(query, slot), metric)});
  };
  if (filter != nullptr && filter->size() < graph.live()) {
    for (const Id id : filter->ids()) {
      if (const std::optional<index::Slot> slot = slots.find(id)) offer(*slot);
    }
  } else {
    for (index::Slot slot = 0; slot < graph.slots(); ++slot) {
      if (graph.state(slot) != index::SlotState::kLive) continue;
      if (filter == nullptr || filter->contains(graph.id(slot))) offer(slot);
    }
  }
  return nearest.take();
}

std::vector<Neighbor> search_graph(const index::Graph& graph, const index::IdTable& slots,
                                   Metric metric, const float* query,
                                   const SearchOptions& options) {
  const std::size_t live = graph.live();
  // Those of the filter that are in the index may be fewer.
  const std::size_t matches =
      options.filter == nullptr
          ? live
          : static_cast<std::size_t>(std::min<std::uint64_t>(options.filter->size(), live));
  if (matches == 0) return {};
  const std::size_t breadth = std::max(options.breadth, options.k);
  if (!options.exact && !scan_is_cheaper(matches, breadth, live)) {
    Nearest nearest(options.k);
    for (const Neighbor& found : graph.walk(query, breadth, options.filter)) {
      nearest.offer({found.id, reported(found.distance, metric)});
    }
    std::vector<Neighbor> result = nearest.take();
    // A walk does not reach what no link leads to.
    if (result.size() >= std::min<std::size_t>(options.k, matches)) return result;
  }
  return scan(graph, slots, metric, query, options.k, options.filter);
}

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
    return search_graph(*impl_->graph, impl_->slots, made_with.metric, prepared.data(), options);
  });
}

}  // namespace vsearch

// How an index is looked through while it changes.
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <shared_mutex>

#include "index/index_impl.h"

namespace vsearch {
namespace {

// What is done under one lock takes a millisecond or two.
constexpr std::size_t kSlotsPerLock = 1024;          // followed
constexpr std::size_t kMarksPerLock = 262144;        // looked at
constexpr std::size_t kReadPerLock = 262144;         // numbers of vectors
constexpr std::size_t kMultipliedPerLock = 4194304;  // with numbers of the sample
// Sampled vectors that are compared with the same others, which come from memory once for all.
constexpr std::size_t kSampledTogether = 16;

bool nearer(const Neighbor& a, const Neighbor& b) {
  return a.distance < b.distance;
}

// Keeps the `count` nearest of what `heap` is offered, the farthest first.
void offer(std::vector<Neighbor>& heap, std::size_t count, const Neighbor& neighbour) {
  if (heap.size() == count) {
    if (!nearer(neighbour, heap.front())) return;
    std::pop_heap(heap.begin(), heap.end(), nearer);
    heap.pop_back();
  }
  heap.push_back(neighbour);
  std::push_heap(heap.begin(), heap.end(), nearer);
}

std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t bits = (state += 0x9E3779B97F4A7C15U);
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
  return bits ^ (bits >> 31);
}

}  // namespace

// Every look at the index is under the shared lock, and short. What is remembered from one to the
// next are slots, which may hold something else by then; none of that is taken on trust.
class Index::Impl::HealthCheck {
 public:
  HealthCheck(const Impl& impl, const HealthOptions& options, const Progress& progress)
      : impl_(impl), options_(options), progress_(progress), random_(options.seed) {}

  IndexHealth run() {
    {
      const std::shared_lock lock(impl_.access);
      const std::size_t groups =
          (std::min<std::size_t>(options_.sample, impl_.graph->live()) + kSampledTogether - 1) /
          kSampledTogether;
      // More than there are cannot be found.
      k_ = std::clamp<std::size_t>(impl_.graph->live(), 1, options_.k);
      total_ = impl_.graph->slots() * (4 + groups);
      const std::size_t used = impl_.graph->live() + impl_.graph->removed();
      health_.removed_share = static_cast<double>(impl_.graph->removed()) /
                              static_cast<double>(std::max<std::size_t>(1, used));
    }
    report(0);
    while (!follow_links()) {
    }
    read_vectors();
    search_sample();
    if (progress_) progress_(total_, total_);
    return std::move(health_);
  }

 private:
  // `done`: vectors looked at since the last call.
  void report(std::size_t done) {
    done_ += done;
    // An index that grows has more to look at than there was to expect.
    if (progress_ && !progress_(std::min(done_, total_), total_)) {
      throw Error(ErrorCode::kCancelled, "the check of the index was cancelled");
    }
  }

  // So many vectors have `numbers`.
  std::size_t together(std::size_t numbers) const {
    return std::clamp<std::size_t>(numbers / impl_.options.dim, 1, kSlotsPerLock);
  }

  // Calls `look(graph, slot)` for every slot, some under one lock. False if the index has got
  // another graph meanwhile, if that matters.
  template <typename Look>
  bool each_slot(Look look, std::optional<std::uint64_t> graph_count = {}) {
    for (std::size_t begin = 0, end = 0;; begin = end) {
      {
        const std::shared_lock lock(impl_.access);
        const index::Graph& graph = *impl_.graph;
        if (graph_count && *graph_count != impl_.graph_count) return false;
        end = std::min(begin + together(kReadPerLock), graph.slots());
        if (begin >= end) return true;
        for (std::size_t slot = begin; slot < end; ++slot) {
          look(graph, static_cast<index::Slot>(slot));
        }
      }
      report(end - begin);
    }
  }

  // Counts the links of every vector, and the vectors that none of them leads to.
  bool follow_links() {
    health_.degrees.assign(2 * std::size_t{impl_.options.links} + 1, 0);
    health_.unreachable = 0;
    reached_.clear();
    followed_.clear();
    std::vector<bool> live;  // at the beginning: a slot that is taken later has its links later
    std::uint64_t graph_count = 0;
    {
      const std::shared_lock lock(impl_.access);
      graph_count = impl_.graph_count;
    }
    const auto count_links = [&](const index::Graph& graph, index::Slot slot) {
      live.push_back(graph.state(slot) == index::SlotState::kLive);
      if (live.back()) ++health_.degrees[graph.neighbours(slot, 0).size()];
    };
    if (!each_slot(count_links, graph_count)) return false;
    {
      const std::shared_lock lock(impl_.access);
      make_marks();
      const std::optional<index::Slot> entry = impl_.graph->entry();
      if (entry) reached_[*entry] = true;
    }
    for (bool more = true; more;) {
      more = false;
      for (std::size_t begin = 0; begin < reached_.size();) {
        std::size_t followed = 0;
        {
          const std::shared_lock lock(impl_.access);
          if (graph_count != impl_.graph_count) return false;
          begin = follow_from(begin, followed, more);
        }
        report(followed);
      }
    }
    const auto count_unreachable = [&](const index::Graph& graph, index::Slot slot) {
      if (slot >= live.size() || !live[slot] || reached_[slot]) return;
      health_.unreachable += graph.state(slot) == index::SlotState::kLive ? 1 : 0;
    };
    if (!each_slot(count_unreachable, graph_count)) return false;
    summarise_degrees();
    return true;
  }

  void make_marks() {
    const std::size_t slots = std::max(reached_.size(), impl_.graph->slots());
    reached_.resize(slots);
    followed_.resize(slots);
  }

  // Breadth-first, but in the order of the slots and with two bits for each instead of a queue:
  // goes over the marks as often as the farthest slot is links away. Returns where to go on.
  std::size_t follow_from(std::size_t slot, std::size_t& followed, bool& more) {
    const index::Graph& graph = *impl_.graph;
    make_marks();
    const std::size_t end = std::min(slot + kMarksPerLock, graph.slots());
    for (; slot < end && followed < kSlotsPerLock; ++slot) {
      if (!reached_[slot] || followed_[slot]) continue;
      followed_[slot] = true;
      ++followed;
      const auto from = static_cast<index::Slot>(slot);
      if (graph.state(from) == index::SlotState::kFree) continue;
      for (int level = 0; level <= graph.level(from); ++level) {
        for (const index::Slot to : graph.neighbours(from, level)) {
          more |= !reached_[to];
          reached_[to] = true;
        }
      }
    }
    return slot;
  }

  void summarise_degrees() {
    const std::vector<std::uint64_t>& degrees = health_.degrees;
    std::uint64_t vectors = 0;
    std::uint64_t links = 0;
    for (std::size_t degree = 0; degree < degrees.size(); ++degree) {
      if (degrees[degree] == 0) continue;
      if (vectors == 0) health_.least_degree = static_cast<std::uint32_t>(degree);
      health_.most_degree = static_cast<std::uint32_t>(degree);
      vectors += degrees[degree];
      links += degree * degrees[degree];
    }
    if (vectors > 0) {
      health_.mean_degree = static_cast<double>(links) / static_cast<double>(vectors);
    }
  }

  // Mean, spread, duplicates, and the sample.
  void read_vectors() {
    const std::size_t dim = impl_.options.dim;
    std::vector<double> sums(dim);
    std::vector<double> squares(dim);
    std::vector<std::uint64_t> hashes;
    std::vector<float> vector(dim);
    each_slot([&](const index::Graph& graph, index::Slot slot) {
      if (graph.state(slot) != index::SlotState::kLive) return;
      graph.vectors().read(slot, vector);
      for (std::size_t i = 0; i < dim; ++i) {
        vector[i] += 0.0F;  // -0 is 0
        sums[i] += vector[i];
        squares[i] += static_cast<double>(vector[i]) * vector[i];
      }
      hashes.push_back(XXH3_64bits(vector.data(), dim * sizeof(float)));
      draw(graph.id(slot), vector, hashes.size());
    });
    health_.size = hashes.size();
    std::sort(hashes.begin(), hashes.end());
    const auto distinct = std::unique(hashes.begin(), hashes.end());
    health_.duplicates = static_cast<std::uint64_t>(hashes.end() - distinct);
    const auto count = static_cast<double>(std::max<std::uint64_t>(1, health_.size));
    double variance = 0;
    for (std::size_t i = 0; i < dim; ++i) {
      const double mean = sums[i] / count;
      health_.mean.push_back(static_cast<float>(mean));
      variance += std::max(0.0, squares[i] / count - mean * mean);
    }
    health_.spread = std::sqrt(variance);
  }

  // Offers the `number`th vector, from 1, to the sample: Vitter's algorithm R, after which each is
  // as likely to be in it.
  void draw(Id id, std::span<const float> vector, std::size_t number) {
    if (sample_.size() < options_.sample) {
      sample_.push_back({id, {vector.begin(), vector.end()}});
      return;
    }
    if (sample_.empty()) return;
    const std::uint64_t place = splitmix64(random_) % number;
    if (place < sample_.size()) sample_[place] = {id, {vector.begin(), vector.end()}};
  }

  void search_sample() {
    for (Sampled& sampled : sample_) {
      sampled.vector = index::prepared(sampled.vector, impl_.options.metric);
    }
    const std::span<Sampled> sample = sample_;
    for (std::size_t begin = 0; begin < sample.size(); begin += kSampledTogether) {
      const auto group = sample.subspan(begin, std::min(kSampledTogether, sample.size() - begin));
      compare_with_all(group);
      for (const Sampled& sampled : group) search(sampled);
    }
    health_.sampled = static_cast<std::uint32_t>(sample.size());
    if (wanted_ > 0) {
      health_.self_recall = static_cast<double>(found_) / static_cast<double>(wanted_);
    }
    if (!sample.empty()) {
      health_.distances_per_query =
          static_cast<double>(distances_) / static_cast<double>(sample.size());
    }
  }

  struct Sampled {
    Id id;
    std::vector<float> vector;
    std::vector<Neighbor> nearest{};  // exactly, in no order, itself left out
  };

  void compare_with_all(std::span<Sampled> group) {
    std::vector<index::VectorStore::Query> queries(group.size());
    for (std::size_t begin = 0, end = 0;; begin = end) {
      {
        const std::shared_lock lock(impl_.access);
        const index::Graph& graph = *impl_.graph;
        end = std::min(begin + together(kMultipliedPerLock / group.size()), graph.slots());
        if (begin >= end) return;
        // The encoding may have changed since the last time.
        for (std::size_t i = 0; i < group.size(); ++i) {
          graph.vectors().prepare(group[i].vector, queries[i]);
        }
        for (std::size_t at = begin; at < end; ++at) {
          const auto slot = static_cast<index::Slot>(at);
          if (graph.state(slot) != index::SlotState::kLive) continue;
          const Id id = graph.id(slot);
          for (std::size_t i = 0; i < group.size(); ++i) {
            if (id == group[i].id) continue;
            offer(group[i].nearest, k_, {id, graph.vectors().exact(queries[i], slot)});
          }
        }
      }
      report(end - begin);
    }
  }

  // Counts as found what is as near as the last of the exact neighbours: vectors at the same
  // distance are as good, and so are those that were added since. What was removed since, or is
  // counted twice because it moved, is not to be found.
  void search(const Sampled& sampled) {
    const auto wanted = static_cast<std::uint32_t>(k_ + 1);
    SearchOptions how;
    how.k = wanted;
    how.breadth = options_.breadth;
    SearchReport report;
    const std::vector<Neighbor> result = impl_.search(sampled.vector, how, report);
    distances_ += report.distances;

    std::vector<Neighbor> nearest = sampled.nearest;
    std::sort(nearest.begin(), nearest.end(), [](const Neighbor& a, const Neighbor& b) {
      return a.id != b.id ? a.id < b.id : a.distance < b.distance;
    });
    nearest.erase(std::unique(nearest.begin(), nearest.end(),
                              [](const auto& a, const auto& b) { return a.id == b.id; }),
                  nearest.end());
    bool present = false;
    float own = 0;
    {
      const std::shared_lock lock(impl_.access);
      std::erase_if(nearest, [&](const auto& one) { return !impl_.slots.find(one.id); });
      const std::optional<index::Slot> slot = impl_.slots.find(sampled.id);
      present = slot.has_value();
      if (present) {
        const index::WalkMemories::Lease memory(impl_.graph->walk_memories());
        impl_.graph->vectors().prepare(sampled.vector, memory->query);
        own = impl_.graph->vectors().exact(memory->query, *slot);
      }
    }
    float horizon = -std::numeric_limits<float>::infinity();
    for (const Neighbor& neighbour : nearest) horizon = std::max(horizon, reported(neighbour));
    std::size_t good = 0;
    bool itself = false;
    for (const Neighbor& neighbour : result) {
      itself |= neighbour.id == sampled.id;
      good += neighbour.id != sampled.id && neighbour.distance <= horizon ? 1 : 0;
    }
    wanted_ += nearest.size();
    found_ += std::min(good, nearest.size());
    // Where others are as near there need not be room for it, nor under the inner product.
    const bool no_room =
        result.size() == wanted && result.back().distance <= reported({sampled.id, own});
    health_.lost += present && !itself && !no_room ? 1 : 0;
  }

  // As search() gives it.
  float reported(const Neighbor& neighbour) const {
    if (impl_.options.metric != Metric::kCosine) return neighbour.distance;
    return std::clamp(neighbour.distance, 0.0F, 2.0F);
  }

  const Impl& impl_;
  const HealthOptions& options_;
  const Progress& progress_;
  std::uint64_t random_;
  std::size_t k_ = 0;
  IndexHealth health_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
  std::vector<bool> reached_;   // by a link
  std::vector<bool> followed_;  // its own links
  std::vector<Sampled> sample_;
  std::uint64_t wanted_ = 0;
  std::uint64_t found_ = 0;
  std::uint64_t distances_ = 0;
};

IndexHealth Index::check_health(const HealthOptions& options, const Progress& progress) const {
  if (options.k == 0) {
    throw Error(ErrorCode::kInvalidArgument, "k is 0: ask for at least one neighbour");
  }
  return index::with_memory_for("check the index",
                                [&] { return Impl::HealthCheck(*impl_, options, progress).run(); });
}

double drift(const IndexHealth& earlier, const IndexHealth& later) {
  if (earlier.mean.size() != later.mean.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the checks are of indexes with {} and {} dimensions: compare two of "
                            "one index",
                            earlier.mean.size(), later.mean.size()));
  }
  double squares = 0;
  for (std::size_t i = 0; i < earlier.mean.size(); ++i) {
    const double difference = static_cast<double>(later.mean[i]) - earlier.mean[i];
    squares += difference * difference;
  }
  return earlier.spread > 0 ? std::sqrt(squares) / earlier.spread : 0.0;
}

}  // namespace vsearch

// How an index is looked through while it changes.
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ranges>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "index/index_impl.h"

namespace vsearch {
namespace {

// What is done under one lock takes a millisecond or two.
constexpr std::size_t kSlotsPerLock = 1024;    // followed
constexpr std::size_t kMarksPerLock = 262144;  // looked at
constexpr std::size_t kReadPerLock = 262144;   // numbers of vectors
// How often a vector must have been missing to be called unreachable, and how long a writer may
// take between a new vector and the links to it: a moment, unless others have the processor.
constexpr int kLooks = 3;
constexpr auto kBetweenLooks = std::chrono::milliseconds(20);
// Sampled vectors that are compared with all others at once: many, for that is less work, but not
// so many that what was found exactly is out of date when they are searched for.
constexpr std::size_t kSampledTogether = 64;

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

  // Counts the links of every vector, and the vectors that none of them leads to. False if the
  // index has got another graph meanwhile.
  bool follow_links() {
    health_.degrees.assign(2 * std::size_t{impl_.options.links} + 1, 0);
    std::uint64_t graph_count = 0;
    {
      const std::shared_lock lock(impl_.access);
      graph_count = impl_.graph_count;
    }
    std::vector<bool> missing;  // live at the beginning, and not reached
    const auto count_links = [&](const index::Graph& graph, index::Slot slot) {
      missing.push_back(graph.state(slot) == index::SlotState::kLive);
      if (missing.back()) ++health_.degrees[graph.neighbours(slot, 0).size()];
    };
    if (!each_slot(count_links, graph_count)) return false;
    // Links to a new vector come after it: what is missing is looked for again.
    health_.unreachable = 1;
    for (int i = 0; i < kLooks && health_.unreachable > 0; ++i) {
      if (i > 0) std::this_thread::sleep_for(kBetweenLooks);
      if (!mark_reachable(graph_count)) return false;
      health_.unreachable = 0;
      const auto count_missing = [&](const index::Graph& graph, index::Slot slot) {
        if (slot >= missing.size() || !missing[slot]) return;
        missing[slot] = !reached_[slot] && graph.state(slot) == index::SlotState::kLive;
        health_.unreachable += missing[slot] ? 1 : 0;
      };
      if (!each_slot(count_missing, graph_count)) return false;
    }
    summarise_degrees();
    return true;
  }

  bool mark_reachable(std::uint64_t graph_count) {
    reached_.clear();
    followed_.clear();
    {
      const std::shared_lock lock(impl_.access);
      if (graph_count != impl_.graph_count) return false;
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
    const std::span<const Sampled> sample = sample_;
    for (std::size_t begin = 0; begin < sample.size(); begin += kSampledTogether) {
      search(sample.subspan(begin, std::min(kSampledTogether, sample.size() - begin)));
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
  };

  void search(std::span<const Sampled> group) {
    SearchOptions how;
    how.k = static_cast<std::uint32_t>(k_ + 1);  // itself is found, too
    how.breadth = options_.breadth;
    Matrix queries(group.size(), impl_.options.dim);
    for (std::size_t i = 0; i < group.size(); ++i) {
      std::ranges::copy(group[i].vector, queries.row(i).begin());
    }
    std::vector<std::vector<Neighbor>> nearest(group.size());
    impl_.search_exactly(queries.view(), how, nearest);
    std::size_t slots = 0;
    for (std::size_t i = 0; i < group.size(); ++i) {
      SearchReport report;
      const std::vector<Neighbor> found = impl_.search(group[i].vector, how, report);
      distances_ += report.distances;
      const std::shared_lock lock(impl_.access);
      slots = impl_.graph->slots();
      // What was removed since is not to be found.
      std::erase_if(nearest[i], [&](const Neighbor& one) { return !impl_.slots.find(one.id); });
      compare(group[i].id, std::move(nearest[i]), found);
    }
    report(slots);
  }

  // What is as near as the last of the `nearest` others counts as found: vectors at the same
  // distance are as good, and so are those that were added since. Where others are as near as
  // itself there may be no room for it, and under the inner product it need not be near at all:
  // then it is not among the nearest, and not lost.
  void compare(Id self, std::vector<Neighbor> nearest, std::span<const Neighbor> found) {
    const auto is_self = [&](const Neighbor& one) { return one.id == self; };
    const auto own = std::ranges::find_if(nearest, is_self);
    if (own != nearest.end()) {
      const bool no_room = found.size() > k_ && found.back().distance <= own->distance;
      health_.lost += std::ranges::none_of(found, is_self) && !no_room ? 1 : 0;
      nearest.erase(own);
    }
    nearest.resize(std::min(k_, nearest.size()));
    if (nearest.empty()) return;
    const float horizon = nearest.back().distance;
    std::size_t good = 0;
    for (const Neighbor& one : found) good += !is_self(one) && one.distance <= horizon ? 1 : 0;
    wanted_ += nearest.size();
    found_ += std::min(good, nearest.size());
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
  impl_->check.wait();  // a damaged snapshot is no question of health
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

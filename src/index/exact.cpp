#include "index/exact.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <optional>

#include "index/exact_scan.h"
#include "index/index_impl.h"

namespace vsearch {
namespace {

using index::ExactScan;
using index::Slot;

// Queries that share the decoding of a vector, and neighbours that are kept of all of them.
constexpr std::size_t kMostTogether = 1024;
constexpr std::size_t kMostKept = std::size_t{1} << 22;

// Neighbours beyond k that are kept, to take the places of those that are removed meanwhile.
constexpr std::size_t kSpare = 16;

// After so many attempts that changes made void, a few queries at a time are answered while changes
// wait.
constexpr int kAttempts = 3;
constexpr std::size_t kTogetherAlone = 32;

}  // namespace

namespace index {

std::vector<Slot> live_slots(const Graph& graph) {
  std::vector<Slot> live;
  live.reserve(graph.live());
  for (Slot slot = 0; slot < graph.slots(); ++slot) {
    if (graph.state(slot) == SlotState::kLive) live.push_back(slot);
  }
  return live;
}

}  // namespace index

// To compare queries with everything may take seconds, and a writer who waits makes all others
// wait. So the index is locked for a piece of that work at a time; in the end what has changed
// since the beginning is put right: what was added is compared too, and what was removed is struck
// out. Each answer is then that of the moment of the last lock, to the last bit.
struct Index::Impl::ExactSearch {
  // Nothing: changes have made it void.
  using Answer = std::optional<std::vector<Neighbor>>;

  void run(MatrixView queries, std::span<std::vector<Neighbor>> results) {
    for (std::size_t begin = 0; begin < queries.rows;) {
      const std::size_t count = std::min(together(), queries.rows - begin);
      answer({queries.row(begin).data(), count, queries.cols}, results.subspan(begin, count));
      begin += count;
    }
  }

  std::size_t together() const {
    const ExactScan::Lock lock(impl.access);
    const std::size_t kept = std::clamp<std::size_t>(options.k, 1, impl.graph->live() + 1);
    return std::clamp<std::size_t>(kMostKept / kept, 1, kMostTogether);
  }

  void answer(MatrixView queries, std::span<std::vector<Neighbor>> results) {
    std::vector<std::size_t> open(queries.rows);
    std::iota(open.begin(), open.end(), std::size_t{0});
    for (int attempts = 0; !open.empty(); ++attempts) {
      const bool alone = attempts >= kAttempts;
      const std::size_t count = alone ? std::min(kTogetherAlone, open.size()) : open.size();
      Matrix prepared(count, queries.cols);
      for (std::size_t i = 0; i < count; ++i) {
        std::ranges::copy(index::prepared(queries.row(open[i]), impl.options.metric),
                          prepared.row(i).begin());
      }
      std::vector<Answer> answers = attempt(prepared.view(), alone);
      std::vector<std::size_t> left;
      for (std::size_t i = 0; i < open.size(); ++i) {
        if (i < count && answers[i]) {
          results[open[i]] = std::move(*answers[i]);
        } else {
          left.push_back(open[i]);
        }
      }
      open = std::move(left);
    }
  }

  // With `alone` one lock is held all the time, and every answer is there.
  std::vector<Answer> attempt(MatrixView queries, bool alone) {
    std::vector<Answer> answers(queries.rows);
    ExactScan::Lock lock(impl.access);
    const std::uint64_t layout = impl.graph->layout();
    index::Version version = impl.version();
    std::vector<Slot> compared = matching();
    if (compared.empty()) {
      std::ranges::fill(answers, std::vector<Neighbor>());
      return answers;
    }
    const std::size_t kept = options.k + kSpare;
    ExactScan scan(*impl.graph, impl.options.metric, queries, kept, compared);
    const auto enter = [&]() -> std::optional<ExactScan::Lock> {
      ExactScan::Lock piece(impl.access);
      if (impl.graph->layout() != layout) return std::nullopt;
      return piece;
    };
    std::vector<Slot> added;
    for (std::span<const Slot> part = compared;; part = added) {
      report.distances += part.size() * queries.rows;
      if (alone || part.size() <= scan.piece()) {
        scan.compare(part, threads, [] { return ExactScan::Lock(); });
        break;
      }
      lock.unlock();
      const bool complete = scan.compare(part, threads, enter);
      lock.lock();
      if (!complete || impl.graph->layout() != layout) return answers;
      if (impl.version() == version) break;
      version = impl.version();
      const std::vector<Slot> now = matching();
      added.clear();
      std::ranges::set_difference(now, compared, std::back_inserter(added));
      std::vector<Slot> both;
      std::ranges::set_union(now, compared, std::back_inserter(both));
      compared = std::move(both);
    }
    for (std::size_t i = 0; i < answers.size(); ++i) {
      std::vector<Neighbor> live;
      const std::vector<ExactScan::Found> found = scan.take(i);
      for (const ExactScan::Found& each : found) {
        if (live.size() < options.k && is_live(each.slot)) live.push_back(each);
      }
      // Where all that were kept are not all that there were, too many may have been removed.
      if (live.size() == options.k || found.size() < kept) answers[i] = std::move(live);
    }
    return answers;
  }

  // Needs the lock.
  std::vector<Slot> matching() const {
    if (filter == nullptr) return index::live_slots(*impl.graph);
    return filter->matching(impl.slots, impl.graph->slots(), impl.version(), true)->slots;
  }
  bool is_live(Slot slot) const { return impl.graph->state(slot) == index::SlotState::kLive; }

  const Impl& impl;
  const SearchOptions& options;
  IdFilter::Impl* const filter;  // what stands behind options.filter, null if there is none
  const std::size_t threads;
  SearchReport report = {};
};

SearchReport Index::Impl::search_exactly(MatrixView queries, const SearchOptions& search_options,
                                         std::span<std::vector<Neighbor>> results) const {
  check.throw_if_damaged();
  ExactSearch search{
      *this, search_options,
      search_options.filter == nullptr ? nullptr : search_options.filter->impl_.get(),
      index::threads_for(search_options.threads)};
  search.run(queries, results);
  return search.report;
}

}  // namespace vsearch

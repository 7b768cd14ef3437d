// ExactSearcher: candidates from torch, their distances and the proof from the index.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/cuda.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>

#include "encoder/torch_error.h"
#include "index/exact.h"
#include "index/exact_scan.h"
#include "index/exact_torch_vectors.h"
#include "index/index_impl.h"
#include "index/nearest.h"
#include "index/rounding.h"
#include "util/parallel.h"
#include "vsearch/exact_searcher.h"

namespace vsearch {
namespace {

using index::ExactScan;
using index::Slot;

// Candidates beyond k that are asked for: with fewer, what rounding leaves open is more often more
// than these.
constexpr std::size_t kSpare = 32;
constexpr std::size_t kSpareShare = 8;  // and this part of k

// If not so many times the candidates match, to compare all that do is less work.
constexpr std::size_t kWorthProposing = 4;

constexpr std::size_t kMostTogether = 1024;  // queries
constexpr std::size_t kLeastTile = 1024;     // vectors that their scores are computed for at a time

// Multiplications by which what was added during a batch is compared under a lock. More: once
// again.
constexpr std::size_t kMostAdded = std::size_t{1} << 26;

constexpr std::uint64_t kLeastWorkingBytes = std::uint64_t{1} << 20;
constexpr std::size_t kCopiedTogetherBytes = std::size_t{4} << 20;

// After so many attempts that changes of the index made void, the index answers alone.
constexpr int kAttempts = 3;

// That no graph has: the copy is not whole.
constexpr std::uint64_t kNoLayout = 0;

// Removed vectors stay in the copy until there are more of them than others, and than this.
constexpr std::size_t kFewRemoved = 1024;

at::Device find_device(const std::string& name) {
  std::optional<at::Device> device;
  try {
    device.emplace(name);
  } catch (const c10::Error&) {
    device.reset();
  }
  if (!device || (!device->is_cpu() && !device->is_cuda())) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("device '{}' is none for exact search: give \"cuda\", \"cuda:1\" and so "
                    "on, or \"cpu\"",
                    name));
  }
  if (device->is_cpu()) return *device;
  const auto count =
      torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  const int number = device->has_index() ? device->index() : 0;
  if (number >= count) {
    throw Error(ErrorCode::kUnavailable,
                count == 0
                    ? fmt::format("device '{}' was asked for, but this machine or this build "
                                  "of torch has no GPU; use Index::search_batch() with "
                                  "SearchOptions::exact, which needs none",
                                  name)
                    : fmt::format("device '{}' was asked for, but there are only {}: give "
                                  "\"cuda:0\" to \"cuda:{}\"",
                                  name, count, count - 1));
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(number)};
}

std::vector<Slot> without(std::span<const Slot> slots, std::span<const Slot> others) {
  std::vector<Slot> rest;
  std::ranges::set_difference(slots, others, std::back_inserter(rest));
  return rest;
}

}  // namespace

struct ExactSearcher::Impl {
  Impl(const Index::Impl& index_, const ExactSearcherOptions& options)
      : index(index_),
        device(find_device(options.device)),
        working_bytes(checked(options.working_bytes)),
        vectors(device, index.options.dim, index.options.metric, working_bytes) {}

  static std::uint64_t checked(std::uint64_t bytes) {
    if (bytes >= kLeastWorkingBytes) return bytes;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("working_bytes is {}: give at least {}", bytes, kLeastWorkingBytes));
  }

  // What torch throws becomes an Error that says what to do.
  template <typename Work>
  auto on_device(const Work& work) const {
    const auto no_memory = [&](const std::string& reason) {
      const ExactScan::Lock lock(index.access);
      const std::size_t count = index.graph->live();
      return Error(
          ErrorCode::kOutOfMemory,
          fmt::format("not enough memory on {} for exact search among {} vectors of {} dimensions, "
                      "which take {} MiB there ({}): use a smaller "
                      "ExactSearcherOptions::working_bytes, another device, or "
                      "Index::search_batch() with SearchOptions::exact",
                      device.str(), count, index.options.dim,
                      (count * index.options.dim * sizeof(float)) >> 20, reason));
    };
    try {
      const at::InferenceMode no_gradients;
      return work();
    } catch (const std::bad_alloc&) {
      throw no_memory("out of memory");
    } catch (const c10::OutOfMemoryError& error) {
      throw no_memory(encoder::essence(error.what_without_backtrace()));
    } catch (const c10::Error& error) {
      const std::string reason = encoder::essence(error.what_without_backtrace());
      // On a CPU running out of memory is a plain c10::Error.
      if (reason.find("DefaultCPUAllocator") != std::string::npos) throw no_memory(reason);
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("exact search on {} failed: {}; use Index::search_batch() with "
                              "SearchOptions::exact",
                              device.str(), reason));
    }
  }

  // The vectors of `added`, which are copied in pieces. Returns false where the index has changed
  // such that slots mean something else than when they were listed.
  bool copy(std::span<const Slot> added) {
    const std::size_t dim = index.options.dim;
    const std::size_t together =
        std::max<std::size_t>(kCopiedTogetherBytes / (dim * sizeof(float)), 1);
    on_device([&] { vectors.reserve(added.size()); });
    std::vector<float> rows(std::min(together, added.size()) * dim);
    for (std::size_t begin = 0; begin < added.size(); begin += together) {
      const std::span<const Slot> piece =
          added.subspan(begin, std::min(together, added.size() - begin));
      {
        const ExactScan::Lock lock(index.access);
        if (index.graph->layout() != layout) return false;
        for (std::size_t i = 0; i < piece.size(); ++i) {
          index.graph->vectors().read(piece[i], std::span(rows).subspan(i * dim, dim));
        }
      }
      on_device([&] { vectors.append(piece, std::span(rows).first(piece.size() * dim)); });
    }
    return true;
  }

  // Returns whether there was anything to do. After it, the copy may still lag behind changes that
  // were made meanwhile.
  bool refresh() {
    index.check.wait();
    for (int attempts = 0; attempts < kAttempts; ++attempts) {
      std::vector<Slot> added;
      std::optional<std::vector<float>> centre;  // if everything is copied
      {
        const ExactScan::Lock lock(index.access);
        if (index.graph->layout() == layout && index.version() == version) return attempts > 0;
        added = index::live_slots(*index.graph);
        const bool worn = copied.size() > 2 * added.size() + kFewRemoved;
        if (index.graph->layout() != layout || worn) {
          centre.emplace();
          if (index.options.metric == Metric::kL2) {
            *centre = index::centre(index.graph->vectors(), added);
          }
        } else {
          added = without(added, copied);
        }
        layout = index.graph->layout();
        version = index.version();
      }
      try {
        if (centre) {
          copied.clear();
          on_device([&] { vectors.clear(std::move(*centre)); });
        }
        if (copy(added)) {
          copied.insert(copied.end(), added.begin(), added.end());
          std::ranges::sort(copied);
          return true;
        }
      } catch (...) {
        layout = kNoLayout;
        throw;
      }
      layout = kNoLayout;
    }
    return true;
  }

  std::vector<std::vector<Neighbor>> search(MatrixView queries, const SearchOptions& options);
  // Of queries that are prepared. Nothing for an answer that is not proven; nothing at all where
  // changes have made all of them void.
  using Answers = std::vector<std::optional<std::vector<Neighbor>>>;
  std::optional<Answers> attempt(MatrixView queries, const SearchOptions& options,
                                 SearchReport& report);
  Answers prove(MatrixView queries, const SearchOptions& options,
                const index::TorchVectors::Best& best, std::span<const Slot> added) const;

  const Index::Impl& index;
  const at::Device device;
  const std::uint64_t working_bytes;
  std::mutex mutex;  // of the rest
  index::TorchVectors vectors;
  std::vector<Slot> copied;          // of `vectors`, ascending
  std::uint64_t layout = kNoLayout;  // of the graph whose slots were copied
  index::Version version;            // of the index when they were listed
};

auto ExactSearcher::Impl::prove(MatrixView queries, const SearchOptions& options,
                                const index::TorchVectors::Best& best,
                                std::span<const Slot> added) const -> Answers {
  const index::VectorStore& store = index.graph->vectors();
  const Metric metric = index.options.metric;
  const index::Rounding rounding(store, metric);
  const std::size_t threads = index::threads_for(options.threads);
  const auto count = static_cast<std::size_t>(best.scores.size(1));
  const float* const scores = best.scores.const_data_ptr<float>();
  const std::int64_t* const positions = best.positions.const_data_ptr<std::int64_t>();
  std::optional<ExactScan> scan;
  if (!added.empty()) {
    scan.emplace(*index.graph, metric, queries, options.k, added);
    scan->compare(added, threads, [] { return ExactScan::Lock(); });
  }
  Answers answers(queries.rows);
  std::mutex taking;  // from `scan`
  util::share(queries.rows, threads, [&](const auto& next) {
    index::VectorStore::Query query;
    std::vector<float> shifted(queries.cols);
    while (const std::optional<std::size_t> row = next()) {
      store.prepare(queries.row(*row), query);
      std::ranges::copy(queries.row(*row), shifted.begin());
      vectors.shift(shifted);
      double squares = 0;
      for (const float value : shifted) squares += static_cast<double>(value) * value;
      const auto distance_of = [&](float score) {
        return metric == Metric::kL2 ? squares - 2.0 * score : 1.0 - score;
      };
      const double bound = rounding.bound(std::sqrt(squares) * (1.0 + 1e-6), vectors.longest());
      index::Nearest<> nearest(options.k);
      double farthest = -std::numeric_limits<double>::infinity();  // of the candidates
      bool precise = true;
      for (std::size_t i = *row * count; i < (*row + 1) * count; ++i) {
        const Slot slot = vectors.slot(static_cast<std::size_t>(positions[i]));
        const float exact = store.exact(query, slot);
        const double proposed = distance_of(scores[i]);
        // A device that computes with less than float32 shows here.
        precise = precise && std::abs(proposed - exact) <= bound;
        farthest = std::max(farthest, proposed);
        if (index.graph->state(slot) != index::SlotState::kLive) continue;
        nearest.offer({index.graph->id(slot), index::reported(exact, metric)});
      }
      // All that were not proposed are farther than `farthest` less the bound.
      if (!precise || !nearest.full() || nearest.farthest() >= farthest - bound) continue;
      if (scan) {
        const std::lock_guard lock(taking);
        for (const ExactScan::Found& found : scan->take(*row)) nearest.offer(found);
      }
      answers[*row] = nearest.take();
    }
  });
  return answers;
}

auto ExactSearcher::Impl::attempt(MatrixView queries, const SearchOptions& options,
                                  SearchReport& report) -> std::optional<Answers> {
  refresh();
  IdFilter::Impl* const filter = options.filter == nullptr ? nullptr : options.filter->impl_.get();
  const auto matching = [&] {  // needs the lock
    if (filter == nullptr) return index::live_slots(*index.graph);
    return filter->matching(index.slots, index.graph->slots(), index.version(), true)->slots;
  };
  index::Version listed = version;
  std::vector<Slot> among;
  std::vector<std::int64_t> positions;
  if (filter != nullptr) {
    const ExactScan::Lock lock(index.access);
    if (index.graph->layout() != layout) return std::nullopt;
    listed = index.version();
    std::ranges::set_intersection(matching(), copied, std::back_inserter(among));
    std::vector<std::int64_t> position_of(index.graph->slots(), -1);
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      position_of[vectors.slot(i)] = static_cast<std::int64_t>(i);
    }
    for (const Slot slot : among) positions.push_back(position_of[slot]);
  }
  const std::span<const Slot> compared = filter == nullptr ? copied : among;
  const std::size_t count = options.k + options.k / kSpareShare + kSpare;
  if (count > compared.size() / kWorthProposing) return Answers(queries.rows);
  Matrix shifted(queries.rows, queries.cols);
  std::copy_n(queries.data, shifted.data.size(), shifted.data.begin());
  for (std::size_t row = 0; row < shifted.rows; ++row) vectors.shift(shifted.row(row));
  const index::TorchVectors::Best best = on_device([&] {
    return vectors.best(shifted.view(), count, filter == nullptr ? nullptr : &positions);
  });
  const ExactScan::Lock lock(index.access);
  if (index.graph->layout() != layout) return std::nullopt;
  std::vector<Slot> added;
  if (index.version() != listed) added = without(matching(), compared);
  if (added.size() * queries.rows * queries.cols > kMostAdded) return std::nullopt;
  report.distances += (compared.size() + added.size()) * queries.rows;
  return prove(queries, options, best, added);
}

std::vector<std::vector<Neighbor>> ExactSearcher::Impl::search(MatrixView queries,
                                                               const SearchOptions& options) {
  const std::lock_guard turn(mutex);
  std::vector<std::vector<Neighbor>> results(queries.rows);
  SearchReport report;
  const std::size_t together =
      std::clamp<std::size_t>(working_bytes / (sizeof(float) * kLeastTile * 4), 1, kMostTogether);
  for (std::size_t begin = 0; begin < queries.rows; begin += together) {
    const std::size_t count = std::min(together, queries.rows - begin);
    Matrix prepared(count, queries.cols);
    for (std::size_t row = 0; row < count; ++row) {
      std::ranges::copy(index::prepared(queries.row(begin + row), index.options.metric),
                        prepared.row(row).begin());
    }
    std::optional<Answers> answers;
    for (int attempts = 0; attempts < kAttempts && !answers; ++attempts) {
      answers = attempt(prepared.view(), options, report);
    }
    std::vector<std::size_t> open;
    for (std::size_t row = 0; row < count; ++row) {
      if (answers && (*answers)[row]) {
        results[begin + row] = std::move(*(*answers)[row]);
      } else {
        open.push_back(begin + row);
      }
    }
    Matrix rest(open.size(), queries.cols);
    for (std::size_t i = 0; i < open.size(); ++i) {
      std::ranges::copy(queries.row(open[i]), rest.row(i).begin());
    }
    std::vector<std::vector<Neighbor>> found(open.size());
    report.distances += index.search_exactly(rest.view(), options, found).distances;
    for (std::size_t i = 0; i < open.size(); ++i) results[open[i]] = std::move(found[i]);
  }
  if (options.report != nullptr) *options.report = report;
  return results;
}

ExactSearcher::ExactSearcher(const Index& index, const ExactSearcherOptions& options) {
  index::with_memory_for("copy the vectors", [&] {
    impl_ = std::make_unique<Impl>(*index.impl_, options);
    impl_->refresh();
  });
}
ExactSearcher::~ExactSearcher() = default;
ExactSearcher::ExactSearcher(ExactSearcher&&) noexcept = default;
ExactSearcher& ExactSearcher::operator=(ExactSearcher&&) noexcept = default;

std::string ExactSearcher::device() const {
  return impl_->device.str();
}

bool ExactSearcher::refresh() {
  return index::with_memory_for("copy the vectors", [&] {
    const std::lock_guard turn(impl_->mutex);
    return impl_->refresh();
  });
}

std::vector<std::vector<Neighbor>> ExactSearcher::search_batch(MatrixView queries,
                                                               const SearchOptions& options) {
  index::check_options(options);
  index::check_queries(queries, impl_->index.options);
  return index::with_memory_for("search", [&] { return impl_->search(queries, options); });
}

}  // namespace vsearch

#include "index/exact_scan.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>

#include "util/parallel.h"

namespace vsearch::index {
namespace {

// Decoded vectors that stay in a core's second-level cache beside a block of queries.
constexpr std::size_t kTileBytes = 192 * 1024;
constexpr std::size_t kMostTileRows = 1024;

// Dimensions that are multiplied in one go: a block of queries then stays in that cache as well.
constexpr std::size_t kDepth = 512;

// If there are queries for less than this part of the lanes, they are compared one by one, which
// costs less than unused lanes.
constexpr std::size_t kWorthABlock = 4;
// So are all, if so great a share of the vectors is wanted: hardly any could be passed over.
constexpr std::size_t kWorthPassing = 8;

// Multiplications of a piece of work: of a millisecond or two.
constexpr std::size_t kWorkOfAPiece = std::size_t{1} << 24;
// For so many a further thread is worth its start.
constexpr std::size_t kWorkOfAThread = std::size_t{1} << 22;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float length(std::span<const float> vector) {
  return std::sqrt(kernels().front().inner_product(vector.data(), vector.data(), vector.size()));
}

}  // namespace

ExactScan::ExactScan(const Graph& graph, Metric metric, MatrixView queries, std::size_t kept,
                     std::span<const Slot> slots)
    : graph_(graph),
      vectors_(graph.vectors()),
      dim_(vectors_.dim()),
      metric_(metric),
      kept_(kept),
      products_(products().front()),
      rounding_(vectors_, metric),
      queries_(queries.rows),
      nearest_(queries.rows, Nearest<Found>(kept)) {
  for (std::size_t row = 0; row < queries.rows; ++row) {
    vectors_.prepare(queries.row(row), queries_[row]);
  }
  while (slots.size() / kWorthPassing >= kept &&
         queries.rows - blocked_ > products_.lanes / kWorthABlock) {
    if (metric_ == Metric::kL2 && centre_.empty()) centre_ = centre(vectors_, slots);
    blocks_.push_back(pack(queries, blocked_));
    blocked_ += blocks_.back().count;
  }
  const std::size_t rows = kTileBytes / (dim_ * sizeof(float));
  tile_rows_ = std::clamp(rows, products_.rows, kMostTileRows) / products_.rows * products_.rows;
  const std::size_t work = tile_rows_ * dim_ * std::max<std::size_t>(queries.rows, 1);
  tiles_together_ = std::max<std::size_t>(kWorkOfAPiece / work, 1);
}

bool ExactScan::compare(std::span<const Slot> slots, std::size_t threads, const Enter& enter) {
  const std::size_t work = slots.size() * dim_ * queries_.size();
  threads = std::min(threads, work / kWorkOfAThread + 1);
  // The last pieces should not leave a thread idle for long.
  constexpr std::size_t kPiecesOfAThread = 8;
  const std::size_t shares = slots.size() / (threads * kPiecesOfAThread * tile_rows_);
  const std::size_t tiles =
      threads == 1 ? tiles_together_ : std::clamp(shares, std::size_t{1}, tiles_together_);
  const std::size_t rows = tiles * tile_rows_;
  std::atomic<bool> stopped = false;
  std::mutex mutex;  // of nearest_
  util::share((slots.size() + rows - 1) / rows, threads, [&](const auto& next) {
    Worker worker = make_worker();
    while (const std::optional<std::size_t> piece = next()) {
      const std::optional<Lock> lock = stopped ? std::nullopt : enter();
      if (!lock) {
        stopped = true;
        return;
      }
      const std::size_t end = std::min((*piece + 1) * rows, slots.size());
      for (std::size_t begin = *piece * rows; begin < end; begin += tile_rows_) {
        compare_tile(slots.subspan(begin, std::min(tile_rows_, end - begin)), worker);
      }
    }
    const std::lock_guard lock(mutex);
    for (std::size_t query = 0; query < queries_.size(); ++query) {
      for (const Found& found : worker.nearest[query].take()) nearest_[query].offer(found);
    }
  });
  return !stopped;
}

ExactScan::Worker ExactScan::make_worker() const {
  Worker worker;
  worker.nearest.assign(queries_.size(), Nearest<Found>(kept_));
  if (!blocks_.empty()) {
    worker.tile.resize(tile_rows_ * dim_);
    worker.sums.resize(tile_rows_ * products_.lanes);
    worker.halves.resize(tile_rows_);
    worker.needed.resize(products_.lanes);
  }
  return worker;
}

void ExactScan::shift(std::span<float> vector) const {
  for (std::size_t i = 0; i < centre_.size(); ++i) vector[i] -= centre_[i];
}

ExactScan::Block ExactScan::pack(MatrixView queries, std::size_t first) const {
  const std::size_t lanes = products_.lanes;
  Block block{first, std::min(lanes, queries.rows - first), {}, {}};
  block.packed.resize(dim_ * lanes);
  for (std::size_t lane = 0; lane < block.count; ++lane) {
    const std::span<const float> row = queries.row(first + lane);
    std::vector<float> query(row.begin(), row.end());
    shift(query);
    block.lengths.push_back(length(query));
    for (std::size_t i = 0; i < query.size(); ++i) block.packed[i * lanes + lane] = query[i];
  }
  return block;
}

void ExactScan::compare_tile(std::span<const Slot> tile, Worker& worker) const {
  if (!blocks_.empty()) decode(tile, worker);
  for (const Block& block : blocks_) compare_block(tile, block, worker);
  for (std::size_t query = blocked_; query < queries_.size(); ++query) {
    for (const Slot slot : tile) offer(query, slot, worker);
  }
}

void ExactScan::decode(std::span<const Slot> tile, Worker& worker) const {
  worker.longest = 0;
  for (std::size_t row = 0; row < tile.size(); ++row) {
    const std::span<float> vector(worker.tile.data() + row * dim_, dim_);
    vectors_.read(tile[row], vector);
    if (metric_ == Metric::kCosine) continue;
    shift(vector);
    const float size = length(vector);
    worker.longest = std::max<double>(worker.longest, size);
    worker.halves[row] = metric_ == Metric::kL2 ? size * size / 2.0F : 0.0F;
  }
}

void ExactScan::compare_block(std::span<const Slot> tile, const Block& block,
                              Worker& worker) const {
  const std::size_t lanes = products_.lanes;
  for (std::size_t from = 0; from < dim_; from += kDepth) {
    // Beyond the end of the tile are vectors of an earlier one, or zeros: nobody looks at these.
    for (std::size_t row = 0; row < tile.size(); row += products_.rows) {
      products_.multiply(worker.tile.data() + row * dim_ + from, dim_,
                         block.packed.data() + from * lanes, std::min(kDepth, dim_ - from),
                         from > 0, worker.sums.data() + row * lanes);
    }
  }
  std::ranges::fill(worker.needed, kInfinity);
  for (std::size_t lane = 0; lane < block.count; ++lane) {
    worker.needed[lane] = needed(block, lane, worker);
  }
  for (std::size_t row = 0; row < tile.size(); ++row) {
    const float* const sums = worker.sums.data() + row * lanes;
    const float half = worker.halves[row];
    int any = 0;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      any |= static_cast<int>(sums[lane] >= worker.needed[lane] + half);
    }
    if (any == 0) continue;
    for (std::size_t lane = 0; lane < block.count; ++lane) {
      if (!(sums[lane] >= worker.needed[lane] + half)) continue;
      offer(block.first + lane, tile[row], worker);
      worker.needed[lane] = needed(block, lane, worker);
    }
  }
}

// The least product with a query, under L2 minus |x|^2 / 2, that may be that of a vector nearer
// than the farthest one kept, or as near.
float ExactScan::needed(const Block& block, std::size_t lane, const Worker& worker) const {
  const Nearest<Found>& nearest = worker.nearest[block.first + lane];
  if (!nearest.full()) return -kInfinity;
  const double farthest = nearest.farthest();
  // All that are farther than opposite are reported as opposite: the smallest ids win.
  if (metric_ == Metric::kCosine && farthest >= 2.0) return -kInfinity;
  const double query = block.lengths[lane];
  const double most = farthest + rounding_.bound(query, worker.longest);
  return static_cast<float>(metric_ == Metric::kL2 ? (query * query - most) / 2.0 : 1.0 - most);
}

void ExactScan::offer(std::size_t query, Slot slot, Worker& worker) const {
  Nearest<Found>& nearest = worker.nearest[query];
  const float distance = reported(vectors_.exact(queries_[query], slot), metric_);
  if (nearest.full() && distance > nearest.farthest()) return;
  nearest.offer({{graph_.id(slot), distance}, slot});
}

}  // namespace vsearch::index

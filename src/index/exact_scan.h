// Comparing queries with every one of some slots.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "index/fair_shared_mutex.h"
#include "index/graph.h"
#include "index/nearest.h"
#include "index/products.h"
#include "index/rounding.h"
#include "vsearch/types.h"

namespace vsearch::index {

// Finds for each of some queries the nearest of the slots it is given: the same, and at the same
// distances to the last bit, as VectorStore::exact() of one slot after the other would give.
//
// Many queries are compared as a matrix product: tiles of vectors that fit the cache are decoded
// once and multiplied with all queries. That gives distances that are right but for rounding, whose
// bound is known (Rounding); exact() is asked only about those that may be among the nearest.
//
// Threads: one at a time may use a scan. Memory: what does not fit throws std::bad_alloc.
class ExactScan {
 public:
  struct Found : Neighbor {
    Slot slot = 0;
  };
  using Lock = std::shared_lock<FairSharedMutex>;
  // Gives what is to be held while a piece of work is done, for some milliseconds; nothing: stop.
  using Enter = std::function<std::optional<Lock>()>;

  // For `queries` [n x dim], which are prepared() and borrowed for the call. `kept`: how many
  // neighbours of each; `slots`: most of what will be compared. Needs the graph to be locked; it
  // must keep its layout() as long as compare() is called.
  ExactScan(const Graph& graph, Metric metric, MatrixView queries, std::size_t kept,
            std::span<const Slot> slots);

  // How many slots make a piece of work.
  std::size_t piece() const { return tiles_together_ * tile_rows_; }

  // `threads` share the work, where there is enough of it; each calls `enter` before each piece.
  // Returns false where that gave nothing.
  bool compare(std::span<const Slot> slots, std::size_t threads, const Enter& enter);

  // The nearest of all that was compared with that query, in order. Nothing is kept afterwards.
  std::vector<Found> take(std::size_t query) { return nearest_[query].take(); }

 private:
  // So many queries as Products takes side by side.
  struct Block {
    std::size_t first;          // of the queries
    std::size_t count;          // that are there; zeros fill the rest
    std::vector<float> packed;  // [dim x lanes]
    std::vector<float> lengths;
  };
  // What a thread works in.
  struct Worker {
    std::vector<Nearest<Found>> nearest;  // [queries]
    std::vector<float> tile;              // [tile_rows x dim], seen from the centre
    std::vector<float> sums;              // [tile_rows x lanes]
    std::vector<float> halves;            // [tile_rows], |x|^2 / 2 under L2, else 0
    std::vector<float> needed;            // [lanes], see needed()
    double longest = 0;                   // of the tile; unknown under cosine
  };

  Block pack(MatrixView queries, std::size_t first) const;
  void shift(std::span<float> vector) const;
  Worker make_worker() const;
  void compare_tile(std::span<const Slot> tile, Worker& worker) const;
  void decode(std::span<const Slot> tile, Worker& worker) const;
  void compare_block(std::span<const Slot> tile, const Block& block, Worker& worker) const;
  float needed(const Block& block, std::size_t lane, const Worker& worker) const;
  void offer(std::size_t query, Slot slot, Worker& worker) const;

  const Graph& graph_;
  const VectorStore& vectors_;
  const std::size_t dim_;  // known also where the graph is not locked
  const Metric metric_;
  const std::size_t kept_;
  const Products& products_;
  const Rounding rounding_;
  std::vector<VectorStore::Query> queries_;
  std::vector<Nearest<Found>> nearest_;  // [queries]
  std::vector<float> centre_;            // empty: the origin
  std::vector<Block> blocks_;
  std::size_t blocked_ = 0;  // queries that are in blocks; the rest is compared one by one
  std::size_t tile_rows_ = 0;
  std::size_t tiles_together_ = 0;
};

}  // namespace vsearch::index

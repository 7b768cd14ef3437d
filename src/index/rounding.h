// How far apart two ways to compute the same distance may come out.
#pragma once

#include <span>
#include <vector>

#include "index/vector_store.h"

namespace vsearch::index {

// Bounds what rounding does to a distance between a query and what a store holds of a vector.
// Whoever compares in bulk, in whatever order of summation, then knows which vectors
// VectorStore::exact() could still put among the nearest, and has to compute only those with it:
// the answer is the same to the last bit.
class Rounding {
 public:
  Rounding(const VectorStore& vectors, Metric metric);

  // The most by which VectorStore::exact() may differ from the distance that is computed in float32
  // from what VectorStore::read() gives: as 1 - <q, x>; under Metric::kL2 as |q|^2 + |x|^2 - 2<q,
  // x> after centre() was subtracted from both. `query` and `vector`: at least the lengths of both,
  // as they go into that; `vector` counts under kCosine not, where it is known.
  double bound(double query, double vector) const;

 private:
  Metric metric_;
  double relative_;  // of sums over all dimensions
  double reach_;     // Of the longest vector that the fixed-point ranges hold. 0: there are none,
  double range_;     // vectors are kept as they are. And the same counted from their lower ends.
};

// A point amid the vectors of `slots`, from which kL2 is computed: lengths, and with them rounding,
// are then of the order of distances, wherever the origin is. Throws std::bad_alloc.
std::vector<float> centre(const VectorStore& vectors, std::span<const Slot> slots);

}  // namespace vsearch::index

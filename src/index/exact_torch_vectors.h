// A copy of an index's vectors in torch, and the best of them for queries.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "index/vector_store.h"

namespace vsearch::index {

// Vectors of some slots on a device, in float32, at positions in the order in which they came.
// Scores are inner products, under Metric::kL2 less half the squared length of the vector, after
// the centre was subtracted from both: the greater, the nearer. Threads: as a standard container.
// Used in at::InferenceMode; what torch throws passes as it is.
class TorchVectors {
 public:
  // `working_bytes`: about what best() may take on the device. First of all, clear() is called.
  TorchVectors(at::Device device, std::size_t dim, Metric metric, std::uint64_t working_bytes);

  // Forgets everything; vectors are from now on seen from `centre` [dim], used under kL2 only.
  void clear(std::vector<float> centre);

  std::size_t size() const { return slots_.size(); }
  Slot slot(std::size_t position) const { return slots_[position]; }
  std::span<const Slot> slots() const { return slots_; }
  double longest() const {
    return longest_;
  }  // at least the length of every vector, from the centre

  // Makes room for `count` more; then append() of `rows` [n x dim], whose memory is written to.
  void reserve(std::size_t count);
  void append(std::span<const Slot> slots, std::span<float> rows);

  // As vectors are seen.
  void shift(std::span<float> vector) const;

  struct Best {
    at::Tensor scores;     // [queries x n] on the CPU, float32, in no order
    at::Tensor positions;  // [queries x n] on the CPU, int64
  };
  // The `count` best, or as many as there are, for each of `queries` [n x dim], which are shifted;
  // of `positions` only, unless that is null.
  Best best(MatrixView queries, std::size_t count,
            const std::vector<std::int64_t>* positions) const;

 private:
  const at::Device device_;
  const std::int64_t dim_;
  const Metric metric_;
  const std::uint64_t working_bytes_;
  std::vector<float> centre_;
  at::Tensor rows_;    // [capacity x dim]
  at::Tensor halves_;  // [capacity], |x|^2 / 2; undefined unless kL2
  std::vector<Slot> slots_;
  double longest_ = 0;
};

}  // namespace vsearch::index

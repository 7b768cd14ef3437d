// A rotation of vectors that spreads what is in few dimensions over all of them.
#pragma once

#include <cstddef>
#include <vector>

#include "index/kernels.h"

namespace vsearch::index {

// Rounds of random signs and a Walsh-Hadamard transform of 2^m dimensions: the first ones, then the
// last ones, where the number of dimensions is no power of two. Pseudo-random, but always the same
// for one number of dimensions. It keeps lengths and inner products. That such products behave as
// random rotations do: Ailon and Chazelle, "The fast Johnson-Lindenstrauss transform" (2009).
// Threads: any.
class Rotation {
 public:
  explicit Rotation(std::size_t dim);

  // In place. `values` and `scratch`: [dim].
  void apply(const Kernels& kernels, float* values, float* scratch) const noexcept;

 private:
  std::size_t dim_;
  std::size_t power_;         // the largest power of two up to dim_
  std::vector<float> signs_;  // [rounds][power_], with the factor that keeps lengths
};

}  // namespace vsearch::index

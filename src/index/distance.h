// The distance functions that the graph and the exact scan call, picked for this processor.
#pragma once

#include <cstddef>
#include <span>

namespace vsearch::index {

// Distance of two float32 vectors. The signature is hnswlib's: `dim` points to a std::size_t, the
// number of floats in each vector. Vectors need no alignment.
using DistanceFunction = float (*)(const void* a, const void* b, const void* dim);

// One implementation of both distances. Sums are float32, in several partial sums.
struct DistanceKernels {
  const char* name;                // of the instruction set
  DistanceFunction inner_product;  // 1 - <a, b>
  DistanceFunction squared_l2;     // |a - b|^2
};

// Every implementation that this processor can run, the fastest first; the last is portable C++.
// The library is built for the oldest processor of its architecture, so the choice falls at run
// time. Threads: any.
std::span<const DistanceKernels> distance_kernels();

}  // namespace vsearch::index

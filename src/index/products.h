// Inner products of many vectors with many queries: the inner part of a matrix product.
#pragma once

#include <cstddef>
#include <span>

#include "index/kernels_x86.h"

namespace vsearch::index {

// Multiplies `rows` vectors with `lanes` queries at a time, with all sums in registers. Queries are
// packed: component i of query l stands at packed[i * lanes + l]. Threads: any.
struct Products {
  const char* name;  // of the instruction set
  std::size_t rows;
  std::size_t lanes;

  // sums[r * lanes + l] = the sum over i < depth of vectors[r * stride + i] * packed[i * lanes +
  // l], in float32 and in the order of i; with `add`, beginning with what is in `sums`.
  void (*multiply)(const float* vectors, std::size_t stride, const float* packed, std::size_t depth,
                   bool add, float* sums);
};

// Every implementation that this processor can run, the fastest first; the last is portable C++.
std::span<const Products> products();

#ifdef VSEARCH_X86_KERNELS
// Null where this processor cannot run them.
const Products* avx512_products();
const Products* avx2_products();  // with FMA
#endif

}  // namespace vsearch::index

// The arithmetic of distances, picked for this processor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "index/id_table.h"

namespace vsearch::index {

// Codes are padded to a multiple of this, so that kernels have no tails.
constexpr std::size_t kCodeBlock = 64;

// Of a vector v against ranges: the sums of v low, of v unit and of v^2, and the largest |v unit|.
struct QuerySums {
  float base;
  float middle;
  float squares;
  float most;
};

// One implementation of everything. Sums of floats are float32, in several partial sums. Vectors
// need no alignment. Threads: any.
struct Kernels {
  const char* name;  // of the instruction set

  float (*inner_product)(const float* a, const float* b, std::size_t dim);
  float (*squared_l2)(const float* a, const float* b, std::size_t dim);  // |a - b|^2

  // results[i] = the inner product of the `width` codes of slots[i], which lie at
  // codes + slots[i] * width, and `weights`. `width` is a multiple of kCodeBlock.
  void (*code_products)(const std::uint8_t* codes, std::size_t width, std::span<const Slot> slots,
                        const std::int8_t* weights, std::int32_t* results);

  // Of the 16-bit numbers 256 * high[i] + low[i]: their inner product with `weights`, and
  // the sum of (weights[i] - units[i] * number)^2.
  float (*fixed_inner_product)(const std::uint8_t* high, const std::uint8_t* low,
                               const float* weights, std::size_t dim);
  float (*fixed_squared_l2)(const std::uint8_t* high, const std::uint8_t* low, const float* weights,
                            const float* units, std::size_t dim);

  // vector[i] = lowest[i] + units[i] * (256 * high[i] + low[i])
  void (*decode)(const std::uint8_t* high, const std::uint8_t* low, const float* lowest,
                 const float* units, std::size_t dim, float* vector);
  // weights[i] = vector[i] * units[i], and the sums.
  QuerySums (*weigh)(const float* vector, const float* lowest, const float* units, std::size_t dim,
                     float* weights);
  // bytes[i] = weights[i] * factor, rounded; within -127 to 127.
  void (*quantise)(const float* weights, float factor, std::size_t dim, std::int8_t* bytes);
};

// Every implementation that this processor can run, the fastest first; the last is portable C++.
// The library is built for the oldest processor of its architecture, so the choice falls at run
// time.
std::span<const Kernels> kernels();

}  // namespace vsearch::index

// The arithmetic of distances, picked for this processor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "index/id_table.h"

namespace vsearch::index {

// Codes are padded to a multiple of this, so that kernels have no tails.
constexpr std::size_t kCodeBlock = 64;
// Bytes that so many codes of 2 bits take.
constexpr std::size_t kPackedBlock = 16;

// Of a vector v against ranges: the sums of v low, of v step and of v^2, and the largest |v step|.
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

  // The same with vectors in float16 and bfloat16, as halves.h writes them.
  float (*half_inner_product)(const float* a, const std::uint16_t* b, std::size_t dim);
  float (*half_squared_l2)(const float* a, const std::uint16_t* b, std::size_t dim);
  float (*bfloat_inner_product)(const float* a, const std::uint16_t* b, std::size_t dim);
  float (*bfloat_squared_l2)(const float* a, const std::uint16_t* b, std::size_t dim);

  // results[i] = the inner product of the `width` codes of slots[i], which lie at
  // codes + slots[i] * stride, and `weights`. `width` is a multiple of kCodeBlock.
  void (*code_products)(const std::uint8_t* codes, std::size_t stride, std::size_t width,
                        std::span<const Slot> slots, const std::int8_t* weights,
                        std::int32_t* results);

  // The same of codes of 2 bits, 0 to 3, of which each kCodeBlock take kPackedBlock bytes: number
  // 16 j + b of them is bits 2 j and 2 j + 1 of byte b.
  void (*packed_products)(const std::uint8_t* codes, std::size_t stride, std::size_t width,
                          std::span<const Slot> slots, const std::int8_t* weights,
                          std::int32_t* results);

  // Of numbers in two bytes (fixed_point.h): the sum of high_weights[i] * high[i] +
  // low_weights[i] * low[i], and that of (vector[i] - steps[i] * high[i] - units[i] * low[i])^2.
  float (*fixed_inner_product)(const std::uint8_t* high, const std::uint8_t* low,
                               const float* high_weights, const float* low_weights,
                               std::size_t dim);
  float (*fixed_squared_l2)(const std::uint8_t* high, const std::uint8_t* low, const float* vector,
                            const float* steps, const float* units, std::size_t dim);

  // vector[i] = lowest[i] + steps[i] * high[i] + units[i] * low[i]
  void (*decode)(const std::uint8_t* high, const std::uint8_t* low, const float* lowest,
                 const float* steps, const float* units, std::size_t dim, float* vector);
  // weights[i] = vector[i] * steps[i], and the sums.
  QuerySums (*weigh)(const float* vector, const float* lowest, const float* steps, std::size_t dim,
                     float* weights);
  // bytes[i] = weights[i] * factor, rounded; within -127 to 127.
  void (*quantise)(const float* weights, float factor, std::size_t dim, std::int8_t* bytes);
  // least[i] = min(least[i], bytes[i]), and likewise most.
  void (*widen)(const std::uint8_t* bytes, std::size_t dim, std::uint8_t* least,
                std::uint8_t* most);
  // to[2 i] = from[i] + from[half + i], to[2 i + 1] = from[i] - from[half + i], for i below `half`:
  // log2(2 half) times, from one array to the other, are a fast Walsh-Hadamard transform.
  void (*butterflies)(const float* from, std::size_t half, float* to);
};

// Every implementation that this processor can run, the fastest first; the last is portable C++.
// The library is built for the oldest processor of its architecture, so the choice falls at run
// time.
std::span<const Kernels> kernels();

}  // namespace vsearch::index

// What the kernels for AVX-512 share. To be included on x86-64 only.
#pragma once

// GCC 12 warns of its own header: what _mm512_undefined_epi32() gives is meant to be undefined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "util/processor.h"

// The instruction set is asked for function by function and found out at run time, so that the rest
// of the library runs anywhere.
#define VSEARCH_AVX512_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni"
#define VSEARCH_AVX512_ENTRY __attribute__((target(VSEARCH_AVX512_TARGET)))
#define VSEARCH_AVX512 __attribute__((target(VSEARCH_AVX512_TARGET), always_inline)) inline

namespace vsearch::encoder {

constexpr std::size_t kLanes = 16;     // 32-bit values in a register
constexpr float kLog2E = 1.44269504F;  // e^x is 2^(x kLog2E)

// Up to whole registers.
constexpr std::size_t padded(std::size_t count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

// Whether this machine has all of VSEARCH_AVX512_TARGET.
inline bool has_avx512() {
  return util::processor().avx512_bf16;
}

// 16 values of 16 bits, each in the low half of a lane.
VSEARCH_AVX512 __m512i load_half(const std::uint16_t* from) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// 16 values of bfloat16.
VSEARCH_AVX512 __m512 load_bf16(const std::uint16_t* from) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(load_half(from), 16));
}

VSEARCH_AVX512 void store_bf16(std::uint16_t* to, __m512 values) {
  const __m256bh rounded = _mm512_cvtneps_pbh(values);
  std::memcpy(to, &rounded, sizeof rounded);
}

// sums[i][r] += the products of `pairs` pairs of bfloat16, which lie side by side in 32 bits as the
// instruction takes them: of row i in `left`, each pair given to all lanes, and of the r-th 16
// columns in `right`.
template <std::size_t Rows, std::size_t Registers>
VSEARCH_AVX512 void add_products(const std::uint16_t* left, std::size_t left_stride,
                                 const std::uint32_t* right, std::size_t right_stride,
                                 std::size_t pairs, __m512 (&sums)[Rows][Registers]) {
  for (std::size_t p = 0; p < pairs; ++p) {
    __m512i columns[Registers];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Registers; ++r) {
      columns[r] = _mm512_loadu_si512(right + p * right_stride + r * kLanes);
    }
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Rows; ++i) {
      std::int32_t pair = 0;
      std::memcpy(&pair, left + i * left_stride + 2 * p, sizeof pair);
      const __m512i everywhere = _mm512_set1_epi32(pair);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < Registers; ++r) {
        sums[i][r] = _mm512_dpbf16_ps(sums[i][r], reinterpret_cast<__m512bh>(everywhere),
                                      reinterpret_cast<__m512bh>(columns[r]));
      }
    }
  }
}

// Tokens [count, size] of bfloat16, `stride` elements apart, transposed to [size, width] as the
// pairs that add_products() takes: to[d / 2][token]. Those past the last are 0.
VSEARCH_AVX512_ENTRY inline void pair_elements(const std::uint16_t* tokens, std::size_t stride,
                                               std::size_t count, std::size_t width,
                                               std::size_t size, std::uint32_t* to) {
  const __m512i rows =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<int>(width)));
  std::memset(to, 0, size / 2 * width * sizeof *to);
  for (std::size_t j = 0; j < count; ++j) {
    for (std::size_t d = 0; d < size; d += 2 * kLanes) {
      const __m512i pairs = _mm512_loadu_si512(tokens + j * stride + d);
      _mm512_i32scatter_epi32(to + d / 2 * width + j, rows, pairs, 4);
    }
  }
}

// The same tokens as pairs of them, [width, size]: to[token / 2][d].
VSEARCH_AVX512_ENTRY inline void pair_tokens(const std::uint16_t* tokens, std::size_t stride,
                                             std::size_t count, std::size_t width, std::size_t size,
                                             std::uint32_t* to) {
  for (std::size_t j = 0; j < width; j += 2) {
    for (std::size_t d = 0; d < size; d += kLanes) {
      const __m512i first = j < count ? load_half(tokens + j * stride + d) : _mm512_setzero_si512();
      const __m512i second =
          j + 1 < count ? load_half(tokens + (j + 1) * stride + d) : _mm512_setzero_si512();
      _mm512_storeu_si512(to + j / 2 * size + d,
                          _mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
    }
  }
}

// 2^x: the whole part by the exponent, the rest, within half of 0, by `Terms` terms of its Taylor
// series after 1. 3 terms are exact to 7e-4 of the value, 6 to 2e-7. Below 2^-200 it is that.
template <std::size_t Terms>
VSEARCH_AVX512 __m512 exp2(__m512 x) {
  constexpr float kSeries[] = {6.9314718e-1F, 2.4022651e-1F, 5.5504109e-2F,
                               9.6181291e-3F, 1.3333558e-3F, 1.5403530e-4F};  // ln(2)^n / n!
  static_assert(Terms <= std::size(kSeries));
  const __m512 bounded = _mm512_max_ps(x, _mm512_set1_ps(-200.0F));
  const __m512 whole = _mm512_roundscale_ps(bounded, _MM_FROUND_TO_NEAREST_INT);
  const __m512 rest = _mm512_sub_ps(bounded, whole);
  __m512 sum = _mm512_set1_ps(kSeries[Terms - 1]);
  for (std::size_t i = Terms - 1; i > 0; --i) {
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(kSeries[i - 1]));
  }
  return _mm512_scalef_ps(_mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0F)), whole);
}

// Four registers of 16 values from 0 to 255 as 64 bytes: value j of register c is byte 4 * j + c.
VSEARCH_AVX512 __m512i pack_bytes(const __m512i (&parts)[4]) {
  const __m512i low = _mm512_or_si512(parts[0], _mm512_slli_epi32(parts[1], 8));
  const __m512i high = _mm512_or_si512(parts[2], _mm512_slli_epi32(parts[3], 8));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

}  // namespace vsearch::encoder

#include "encoder/attention.h"

#if defined(__x86_64__)

// GCC 12 warns of its own header: what _mm512_undefined_epi32() gives is meant to be undefined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

// The instruction set is asked for function by function and found out at run time, so that the rest
// of the library runs anywhere.
#define VSEARCH_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"), always_inline)) inline
#define VSEARCH_AVX512_ENTRY \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace vsearch::encoder {
namespace {

constexpr std::size_t kLanes = 16;     // 32-bit values in a register
constexpr std::size_t kQueries = 6;    // computed together
constexpr std::size_t kRegisters = 4;  // of results for each query: 24 accumulators in all
constexpr std::size_t kMaxSize = 128;

std::size_t padded(std::size_t tokens) {
  return (tokens + kLanes - 1) / kLanes * kLanes;
}

// What one head needs: keys and values as pairs of bfloat16 that lie side by side in 32 bits, which
// is how the dot product of the instruction set takes them, and the scores of some queries.
struct Scratch {
  std::uint32_t* keys;     // [size / 2][padded]: two elements of one key
  std::uint32_t* values;   // [padded / 2][size]: one element of two values
  float* scores;           // [kQueries][padded]
  std::uint16_t* weights;  // [kQueries][padded]
};

Scratch split(void* memory, std::size_t tokens, std::size_t size) {
  const std::size_t width = padded(tokens);
  auto* const bytes = static_cast<std::byte*>(memory);
  const std::size_t keys = width * size * 2;
  const std::size_t scores = kQueries * width * 4;
  return {reinterpret_cast<std::uint32_t*>(bytes), reinterpret_cast<std::uint32_t*>(bytes + keys),
          reinterpret_cast<float*>(bytes + 2 * keys),
          reinterpret_cast<std::uint16_t*>(bytes + 2 * keys + scores)};
}

// sums[i][r] += the products of `pairs` pairs: of row i in `left`, each pair given to all lanes,
// and of the r-th 16 columns in `right`.
template <std::size_t Registers>
VSEARCH_AVX512 void multiply(const std::uint16_t* left, std::size_t left_stride,
                             const std::uint32_t* right, std::size_t right_stride,
                             std::size_t pairs, __m512 (&sums)[kQueries][Registers]) {
  for (std::size_t p = 0; p < pairs; ++p) {
    __m512i columns[Registers];
    for (std::size_t r = 0; r < Registers; ++r) {
      columns[r] = _mm512_loadu_si512(right + p * right_stride + r * kLanes);
    }
    for (std::size_t i = 0; i < kQueries; ++i) {
      std::int32_t pair = 0;
      std::memcpy(&pair, left + i * left_stride + 2 * p, sizeof pair);
      const __m512i everywhere = _mm512_set1_epi32(pair);
      for (std::size_t r = 0; r < Registers; ++r) {
        sums[i][r] = _mm512_dpbf16_ps(sums[i][r], reinterpret_cast<__m512bh>(everywhere),
                                      reinterpret_cast<__m512bh>(columns[r]));
      }
    }
  }
}

template <std::size_t Registers>
VSEARCH_AVX512 void score(const std::uint16_t* queries, std::size_t query_stride,
                          const std::uint32_t* keys, std::size_t width, std::size_t size,
                          float* scores) {
  __m512 sums[kQueries][Registers];
  for (auto& row : sums) {
    for (__m512& sum : row) sum = _mm512_setzero_ps();
  }
  multiply<Registers>(queries, query_stride, keys, width, size / 2, sums);
  for (std::size_t i = 0; i < kQueries; ++i) {
    for (std::size_t r = 0; r < Registers; ++r) {
      _mm512_storeu_ps(scores + i * width + r * kLanes, sums[i][r]);
    }
  }
}

// 2^x for x <= 0, to 2e-7 of its value: the whole part by the exponent, the rest, within half of 0,
// by its Taylor series. Minus infinity gives 0.
VSEARCH_AVX512 __m512 exp2(__m512 x) {
  const __m512 bounded = _mm512_max_ps(x, _mm512_set1_ps(-200.0F));
  const __m512 whole = _mm512_roundscale_ps(bounded, _MM_FROUND_TO_NEAREST_INT);
  const __m512 rest = _mm512_sub_ps(bounded, whole);
  constexpr float kSeries[] = {1.5403530e-4F, 1.3333558e-3F, 9.6181291e-3F,
                               5.5504109e-2F, 2.4022651e-1F, 6.9314718e-1F};  // ln(2)^n / n!
  __m512 sum = _mm512_set1_ps(kSeries[0]);
  for (std::size_t i = 1; i < std::size(kSeries); ++i) {
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(kSeries[i]));
  }
  return _mm512_scalef_ps(_mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0F)), whole);
}

// The weights exp(score - highest score) of each query, as bfloat16; returns their sums.
VSEARCH_AVX512 void weigh(const Scratch& scratch, std::size_t tokens, std::size_t width,
                          float (&sums)[kQueries]) {
  constexpr float kLog2E = 1.44269504F;
  for (std::size_t i = 0; i < kQueries; ++i) {
    float* const scores = scratch.scores + i * width;
    std::fill(scores + tokens, scores + width, -std::numeric_limits<float>::infinity());
    __m512 highest = _mm512_loadu_ps(scores);
    for (std::size_t j = kLanes; j < width; j += kLanes) {
      highest = _mm512_max_ps(highest, _mm512_loadu_ps(scores + j));
    }
    const __m512 offset = _mm512_set1_ps(-_mm512_reduce_max_ps(highest) * kLog2E);
    __m512 sum = _mm512_setzero_ps();
    for (std::size_t j = 0; j < width; j += kLanes) {
      const __m512 weight =
          exp2(_mm512_fmadd_ps(_mm512_loadu_ps(scores + j), _mm512_set1_ps(kLog2E), offset));
      sum = _mm512_add_ps(sum, weight);
      const __m256bh rounded = _mm512_cvtneps_pbh(weight);
      std::memcpy(scratch.weights + i * width + j, &rounded, sizeof rounded);
    }
    sums[i] = _mm512_reduce_add_ps(sum);
  }
}

template <std::size_t Registers>
VSEARCH_AVX512 void mix(const Scratch& scratch, std::size_t width, std::size_t size,
                        std::size_t column, const float (&weight_sums)[kQueries],
                        std::uint16_t* out, std::size_t out_stride) {
  __m512 sums[kQueries][Registers];
  for (auto& row : sums) {
    for (__m512& sum : row) sum = _mm512_setzero_ps();
  }
  multiply<Registers>(scratch.weights, width, scratch.values + column, size, width / 2, sums);
  for (std::size_t i = 0; i < kQueries; ++i) {
    const __m512 share = _mm512_set1_ps(1.0F / weight_sums[i]);
    for (std::size_t r = 0; r < Registers; ++r) {
      const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_mul_ps(sums[i][r], share));
      std::memcpy(out + i * out_stride + column + r * kLanes, &rounded, sizeof rounded);
    }
  }
}

// Keys and values as Scratch has them.
VSEARCH_AVX512 void pack(const std::uint16_t* keys, const std::uint16_t* values,
                         std::size_t token_stride, std::size_t tokens, std::size_t size,
                         const Scratch& scratch) {
  const std::size_t width = padded(tokens);
  std::memset(scratch.keys, 0, width * size * 2);
  const __m512i rows =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<int>(width)));
  for (std::size_t j = 0; j < tokens; ++j) {
    for (std::size_t d = 0; d < size; d += 2 * kLanes) {
      const __m512i pairs = _mm512_loadu_si512(keys + j * token_stride + d);
      _mm512_i32scatter_epi32(scratch.keys + d / 2 * width + j, rows, pairs, 4);
    }
  }
  for (std::size_t j = 0; j < width; j += 2) {
    for (std::size_t d = 0; d < size; d += kLanes) {
      const auto load = [&](std::size_t token)
          __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))) {
        if (token >= tokens) return _mm256_setzero_si256();
        return _mm256_loadu_si256(
            reinterpret_cast<const __m256i*>(values + token * token_stride + d));
      };
      const __m512i first = _mm512_cvtepu16_epi32(load(j));
      const __m512i second = _mm512_slli_epi32(_mm512_cvtepu16_epi32(load(j + 1)), 16);
      _mm512_storeu_si512(scratch.values + j / 2 * size + d, _mm512_or_si512(first, second));
    }
  }
}

VSEARCH_AVX512_ENTRY void mix_one_head(const std::uint16_t* qkv, std::size_t token_stride,
                                       std::size_t key_offset, std::size_t tokens, std::size_t size,
                                       std::uint16_t* out, std::size_t out_stride, void* memory) {
  const std::size_t width = padded(tokens);
  const Scratch scratch = split(memory, tokens, size);
  pack(qkv + key_offset, qkv + 2 * key_offset, token_stride, tokens, size, scratch);
  for (std::size_t begin = 0; begin < tokens; begin += kQueries) {
    // The last queries are computed together with some that were done before.
    const std::size_t first = std::min(begin, tokens - kQueries);
    const std::uint16_t* const queries = qkv + first * token_stride;
    std::size_t j = 0;
    for (; j + kRegisters * kLanes <= width; j += kRegisters * kLanes) {
      score<kRegisters>(queries, token_stride, scratch.keys + j, width, size, scratch.scores + j);
    }
    for (; j < width; j += kLanes) {
      score<1>(queries, token_stride, scratch.keys + j, width, size, scratch.scores + j);
    }
    float sums[kQueries];
    weigh(scratch, tokens, width, sums);
    std::uint16_t* const to = out + first * out_stride;
    std::size_t d = 0;
    for (; d + kRegisters * kLanes <= size; d += kRegisters * kLanes) {
      mix<kRegisters>(scratch, width, size, d, sums, to, out_stride);
    }
    for (; d < size; d += kLanes) mix<1>(scratch, width, size, d, sums, to, out_stride);
  }
}

}  // namespace

bool can_mix_heads(std::size_t tokens, std::size_t size) {
  static const bool supported =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bf16");
  return supported && tokens >= kQueries && size > 0 && size <= kMaxSize &&
         size % (2 * kLanes) == 0;
}

std::size_t mix_heads_scratch_bytes(std::size_t tokens, std::size_t size) {
  return padded(tokens) * (4 * size + kQueries * 6);
}

void mix_heads_bf16(const std::uint16_t* qkv, std::size_t token_stride, std::size_t key_offset,
                    std::size_t tokens, std::size_t size, std::uint16_t* out,
                    std::size_t out_stride, void* scratch) {
  mix_one_head(qkv, token_stride, key_offset, tokens, size, out, out_stride, scratch);
}

}  // namespace vsearch::encoder

#else

namespace vsearch::encoder {

bool can_mix_heads(std::size_t, std::size_t) {
  return false;
}

std::size_t mix_heads_scratch_bytes(std::size_t, std::size_t) {
  return 0;
}

void mix_heads_bf16(const std::uint16_t*, std::size_t, std::size_t, std::size_t, std::size_t,
                    std::uint16_t*, std::size_t, void*) {}

}  // namespace vsearch::encoder

#endif

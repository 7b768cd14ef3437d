#include "encoder/attention.h"

#if defined(__x86_64__)

#include <algorithm>
#include <limits>

#include "encoder/avx512.h"

namespace vsearch::encoder {
namespace {

constexpr std::size_t kQueries = kQueryGroup;  // computed together
constexpr std::size_t kRegisters = 4;          // of results for each query: 24 accumulators in all
constexpr std::size_t kMaxSize = 128;

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

template <std::size_t Registers>
VSEARCH_AVX512 void score(const std::uint16_t* queries, std::size_t query_stride,
                          const std::uint32_t* keys, std::size_t width, std::size_t size,
                          float* scores) {
  __m512 sums[kQueries][Registers];
#pragma GCC unroll 8
  for (auto& row : sums) {
#pragma GCC unroll 8
    for (__m512& sum : row) sum = _mm512_setzero_ps();
  }
  add_products(queries, query_stride, keys, width, size / 2, sums);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kQueries; ++i) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Registers; ++r) {
      _mm512_storeu_ps(scores + i * width + r * kLanes, sums[i][r]);
    }
  }
}

// The weights exp(score - highest score) of each query, as bfloat16; returns their sums.
VSEARCH_AVX512 void weigh(const Scratch& scratch, std::size_t tokens, std::size_t width,
                          float (&sums)[kQueries]) {
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
          exp2<6>(_mm512_fmadd_ps(_mm512_loadu_ps(scores + j), _mm512_set1_ps(kLog2E), offset));
      sum = _mm512_add_ps(sum, weight);
      store_bf16(scratch.weights + i * width + j, weight);
    }
    sums[i] = _mm512_reduce_add_ps(sum);
  }
}

// The values that the first `done` queries give are left alone: another thread may write them.
template <std::size_t Registers>
VSEARCH_AVX512 void mix_columns(const Scratch& scratch, std::size_t width, std::size_t size,
                                std::size_t column, const float (&weight_sums)[kQueries],
                                std::size_t done, std::uint16_t* out, std::size_t out_stride) {
  __m512 sums[kQueries][Registers];
#pragma GCC unroll 8
  for (auto& row : sums) {
#pragma GCC unroll 8
    for (__m512& sum : row) sum = _mm512_setzero_ps();
  }
  add_products(scratch.weights, width, scratch.values + column, size, width / 2, sums);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kQueries; ++i) {
    if (i < done) continue;
    const __m512 share = _mm512_set1_ps(1.0F / weight_sums[i]);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Registers; ++r) {
      store_bf16(out + i * out_stride + column + r * kLanes, _mm512_mul_ps(sums[i][r], share));
    }
  }
}

VSEARCH_AVX512_ENTRY void mix_group(const Head& head, const Scratch& scratch, std::size_t begin,
                                    std::uint16_t* out, std::size_t out_stride) {
  const std::size_t width = padded(head.tokens);
  // The last queries are computed together with some of the group before.
  const std::size_t first = std::min(begin, head.tokens - kQueries);
  const std::size_t done = begin - first;
  const std::uint16_t* const queries = head.qkv + first * head.token_stride;
  std::size_t j = 0;
  for (; j + kRegisters * kLanes <= width; j += kRegisters * kLanes) {
    score<kRegisters>(queries, head.token_stride, scratch.keys + j, width, head.size,
                      scratch.scores + j);
  }
  for (; j < width; j += kLanes) {
    score<1>(queries, head.token_stride, scratch.keys + j, width, head.size, scratch.scores + j);
  }
  float sums[kQueries];
  weigh(scratch, head.tokens, width, sums);
  std::uint16_t* const to = out + first * out_stride;
  std::size_t d = 0;
  for (; d + kRegisters * kLanes <= head.size; d += kRegisters * kLanes) {
    mix_columns<kRegisters>(scratch, width, head.size, d, sums, done, to, out_stride);
  }
  for (; d < head.size; d += kLanes) {
    mix_columns<1>(scratch, width, head.size, d, sums, done, to, out_stride);
  }
}

}  // namespace

namespace attention_bf16 {

bool supports(std::size_t tokens, std::size_t size) {
  return has_avx512() && tokens >= kQueries && size > 0 && size <= kMaxSize &&
         size % (2 * kLanes) == 0;
}

std::size_t scratch_bytes(std::size_t tokens, std::size_t size) {
  return padded(tokens) * (4 * size + kQueries * 6);
}

void prepare(const Head& head, void* scratch) {
  const Scratch to = split(scratch, head.tokens, head.size);
  const std::size_t width = padded(head.tokens);
  pair_elements(head.qkv + head.key_offset, head.token_stride, head.tokens, width, head.size,
                to.keys);
  pair_tokens(head.qkv + 2 * head.key_offset, head.token_stride, head.tokens, width, head.size,
              to.values);
}

void mix(const Head& head, std::size_t begin, std::size_t end, std::uint16_t* out,
         std::size_t out_stride, void* scratch) {
  for (std::size_t group = begin; group < end; ++group) {
    mix_group(head, split(scratch, head.tokens, head.size), group * kQueries, out, out_stride);
  }
}

}  // namespace attention_bf16

}  // namespace vsearch::encoder

#else

namespace vsearch::encoder::attention_bf16 {

bool supports(std::size_t, std::size_t) {
  return false;
}

std::size_t scratch_bytes(std::size_t, std::size_t) {
  return 0;
}

void prepare(const Head&, void*) {}

void mix(const Head&, std::size_t, std::size_t, std::uint16_t*, std::size_t, void*) {}

}  // namespace vsearch::encoder::attention_bf16

#endif

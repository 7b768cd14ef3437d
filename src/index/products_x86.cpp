#include "index/products.h"

#ifdef VSEARCH_X86_KERNELS

// GCC 12 warns of its own header: what _mm512_undefined() gives is meant to be undefined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include "util/processor.h"

#define VSEARCH_AVX512 __attribute__((target("avx512f")))
#define VSEARCH_AVX2 __attribute__((target("avx2,fma")))

namespace vsearch::index {
namespace {

// Two registers of queries and twelve vectors, each component of which is multiplied with both: 24
// of the 32 registers hold sums, so that additions that wait for each other are far apart, and an
// addition needs little more than half a load.
constexpr std::size_t kWideRows = 12;
constexpr std::size_t kWideLanes = 32;

VSEARCH_AVX512 void multiply_wide(const float* vectors, std::size_t stride, const float* packed,
                                  std::size_t depth, bool add, float* sums) {
  __m512 low[kWideRows];
  __m512 high[kWideRows];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kWideRows; ++r) {
    low[r] = add ? _mm512_loadu_ps(sums + r * kWideLanes) : _mm512_setzero_ps();
    high[r] = add ? _mm512_loadu_ps(sums + r * kWideLanes + 16) : _mm512_setzero_ps();
  }
  for (std::size_t i = 0; i < depth; ++i) {
    const __m512 q_low = _mm512_loadu_ps(packed + i * kWideLanes);
    const __m512 q_high = _mm512_loadu_ps(packed + i * kWideLanes + 16);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kWideRows; ++r) {
      const __m512 value = _mm512_set1_ps(vectors[r * stride + i]);
      low[r] = _mm512_fmadd_ps(value, q_low, low[r]);
      high[r] = _mm512_fmadd_ps(value, q_high, high[r]);
    }
  }
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kWideRows; ++r) {
    _mm512_storeu_ps(sums + r * kWideLanes, low[r]);
    _mm512_storeu_ps(sums + r * kWideLanes + 16, high[r]);
  }
}

// The same in 16 registers.
constexpr std::size_t kRows = 6;
constexpr std::size_t kLanes = 16;

VSEARCH_AVX2 void multiply(const float* vectors, std::size_t stride, const float* packed,
                           std::size_t depth, bool add, float* sums) {
  __m256 low[kRows];
  __m256 high[kRows];
#pragma GCC unroll 6
  for (std::size_t r = 0; r < kRows; ++r) {
    low[r] = add ? _mm256_loadu_ps(sums + r * kLanes) : _mm256_setzero_ps();
    high[r] = add ? _mm256_loadu_ps(sums + r * kLanes + 8) : _mm256_setzero_ps();
  }
  for (std::size_t i = 0; i < depth; ++i) {
    const __m256 q_low = _mm256_loadu_ps(packed + i * kLanes);
    const __m256 q_high = _mm256_loadu_ps(packed + i * kLanes + 8);
#pragma GCC unroll 6
    for (std::size_t r = 0; r < kRows; ++r) {
      const __m256 value = _mm256_set1_ps(vectors[r * stride + i]);
      low[r] = _mm256_fmadd_ps(value, q_low, low[r]);
      high[r] = _mm256_fmadd_ps(value, q_high, high[r]);
    }
  }
#pragma GCC unroll 6
  for (std::size_t r = 0; r < kRows; ++r) {
    _mm256_storeu_ps(sums + r * kLanes, low[r]);
    _mm256_storeu_ps(sums + r * kLanes + 8, high[r]);
  }
}

}  // namespace

const Products* avx512_products() {
  static constexpr Products kProducts{"avx512", kWideRows, kWideLanes, multiply_wide};
  return util::processor().avx512 ? &kProducts : nullptr;
}

const Products* avx2_products() {
  static constexpr Products kProducts{"avx2", kRows, kLanes, multiply};
  return util::processor().avx2 ? &kProducts : nullptr;
}

}  // namespace vsearch::index

#endif

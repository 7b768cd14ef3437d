#include "index/kernels_x86.h"

#ifdef VSEARCH_X86_KERNELS

#include "index/kernels_generic.h"

#include <immintrin.h>

#define VSEARCH_AVX2 __attribute__((target("avx2,fma")))

namespace vsearch::index {
namespace {

VSEARCH_AVX2 float sum_of(__m256 v) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  half = _mm_add_ss(half, _mm_movehdup_ps(half));
  return _mm_cvtss_f32(half);
}

VSEARCH_AVX2 std::int32_t sum_of(__m256i v) {
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
  return _mm_cvtsi128_si32(half);
}

// Two sums at a time hide the latency of a fused multiply-add. 512-bit registers were measured too
// (64 to 768 dimensions, in cache, Zen 4) and are no faster for float32.
VSEARCH_AVX2 float inner_product(const float* a, const float* b, std::size_t dim) {
  __m256 s0 = _mm256_setzero_ps();
  __m256 s1 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
    s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), s1);
  }
  for (; i + 8 <= dim; i += 8) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
  }
  float sum = sum_of(_mm256_add_ps(s0, s1));
  for (; i < dim; ++i) sum += a[i] * b[i];
  return sum;
}

VSEARCH_AVX2 float squared_l2(const float* a, const float* b, std::size_t dim) {
  __m256 s0 = _mm256_setzero_ps();
  __m256 s1 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m256 d0 = _mm256_sub_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
    const __m256 d1 = _mm256_sub_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8));
    s0 = _mm256_fmadd_ps(d0, d0, s0);
    s1 = _mm256_fmadd_ps(d1, d1, s1);
  }
  for (; i + 8 <= dim; i += 8) {
    const __m256 d0 = _mm256_sub_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
    s0 = _mm256_fmadd_ps(d0, d0, s0);
  }
  float sum = sum_of(_mm256_add_ps(s0, s1));
  for (; i < dim; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

// vpmaddubsw would saturate: bytes are widened to 16 bits first.
VSEARCH_AVX2 void code_products(const std::uint8_t* codes, std::size_t width,
                                std::span<const Slot> slots, const std::int8_t* weights,
                                std::int32_t* results) {
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::uint8_t* const code = codes + slots[s] * width;
    __m256i s0 = _mm256_setzero_si256();
    __m256i s1 = _mm256_setzero_si256();
    for (std::size_t i = 0; i < width; i += 32) {
      const auto half = [&](std::size_t at) VSEARCH_AVX2 {
        const __m256i c =
            _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(code + at)));
        const __m256i w =
            _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + at)));
        return _mm256_madd_epi16(c, w);
      };
      s0 = _mm256_add_epi32(s0, half(i));
      s1 = _mm256_add_epi32(s1, half(i + 16));
    }
    results[s] = sum_of(_mm256_add_epi32(s0, s1));
  }
}

VSEARCH_AVX2 __m256 fixed(const std::uint8_t* high, const std::uint8_t* low, std::size_t i) {
  const __m128i h = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(high + i));
  const __m128i l = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(low + i));
  return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_unpacklo_epi8(l, h)));
}

VSEARCH_AVX2 float fixed_inner_product(const std::uint8_t* high, const std::uint8_t* low,
                                       const float* weights, std::size_t dim) {
  __m256 s0 = _mm256_setzero_ps();
  __m256 s1 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(weights + i), fixed(high, low, i), s0);
    s1 = _mm256_fmadd_ps(_mm256_loadu_ps(weights + i + 8), fixed(high, low, i + 8), s1);
  }
  float sum = sum_of(_mm256_add_ps(s0, s1));
  for (; i < dim; ++i) sum += weights[i] * static_cast<float>(256 * high[i] + low[i]);
  return sum;
}

VSEARCH_AVX2 float fixed_squared_l2(const std::uint8_t* high, const std::uint8_t* low,
                                    const float* weights, const float* units, std::size_t dim) {
  __m256 s0 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    const __m256 d = _mm256_fnmadd_ps(_mm256_loadu_ps(units + i), fixed(high, low, i),
                                      _mm256_loadu_ps(weights + i));
    s0 = _mm256_fmadd_ps(d, d, s0);
  }
  float sum = sum_of(s0);
  for (; i < dim; ++i) {
    const float d = weights[i] - units[i] * static_cast<float>(256 * high[i] + low[i]);
    sum += d * d;
  }
  return sum;
}

VSEARCH_AVX2 void decode(const std::uint8_t* high, const std::uint8_t* low, const float* lowest,
                         const float* units, std::size_t dim, float* vector) {
  generic::decode(high, low, lowest, units, dim, vector);
}

VSEARCH_AVX2 QuerySums weigh(const float* vector, const float* lowest, const float* units,
                             std::size_t dim, float* weights) {
  return generic::weigh(vector, lowest, units, dim, weights);
}

VSEARCH_AVX2 void quantise(const float* weights, float factor, std::size_t dim,
                           std::int8_t* bytes) {
  generic::quantise(weights, factor, dim, bytes);
}

constexpr Kernels kKernels{
    "avx2",           inner_product, squared_l2, code_products, fixed_inner_product,
    fixed_squared_l2, decode,        weigh,      quantise};

}  // namespace

const Kernels* avx2_kernels() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kKernels : nullptr;
}

}  // namespace vsearch::index

#endif

#include "index/kernels_x86.h"

#ifdef VSEARCH_X86_KERNELS

#include "index/kernels_generic.h"

// GCC 12 warns of its own header: what _mm512_undefined_epi32() gives is meant to be undefined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#define VSEARCH_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

namespace vsearch::index {
namespace {

VSEARCH_AVX512 void code_products(const std::uint8_t* codes, std::size_t width,
                                  std::span<const Slot> slots, const std::int8_t* weights,
                                  std::int32_t* results) {
  std::size_t s = 0;
  // Four vectors together: each load of the weights serves all of them, and four chains of
  // additions run side by side.
  for (; s + 4 <= slots.size(); s += 4) {
    const std::uint8_t* const a = codes + slots[s] * width;
    const std::uint8_t* const b = codes + slots[s + 1] * width;
    const std::uint8_t* const c = codes + slots[s + 2] * width;
    const std::uint8_t* const d = codes + slots[s + 3] * width;
    __m512i sum_a = _mm512_setzero_si512();
    __m512i sum_b = _mm512_setzero_si512();
    __m512i sum_c = _mm512_setzero_si512();
    __m512i sum_d = _mm512_setzero_si512();
    for (std::size_t i = 0; i < width; i += kCodeBlock) {
      const __m512i w = _mm512_loadu_si512(weights + i);
      sum_a = _mm512_dpbusd_epi32(sum_a, _mm512_loadu_si512(a + i), w);
      sum_b = _mm512_dpbusd_epi32(sum_b, _mm512_loadu_si512(b + i), w);
      sum_c = _mm512_dpbusd_epi32(sum_c, _mm512_loadu_si512(c + i), w);
      sum_d = _mm512_dpbusd_epi32(sum_d, _mm512_loadu_si512(d + i), w);
    }
    // The four sums over lanes at once.
    const __m512i ab =
        _mm512_add_epi32(_mm512_unpacklo_epi32(sum_a, sum_b), _mm512_unpackhi_epi32(sum_a, sum_b));
    const __m512i cd =
        _mm512_add_epi32(_mm512_unpacklo_epi32(sum_c, sum_d), _mm512_unpackhi_epi32(sum_c, sum_d));
    const __m512i abcd =
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64(abcd, 1));
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(results + s),
        _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
  }
  for (; s < slots.size(); ++s) {
    const std::uint8_t* const a = codes + slots[s] * width;
    __m512i sum = _mm512_setzero_si512();
    for (std::size_t i = 0; i < width; i += kCodeBlock) {
      sum = _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(a + i), _mm512_loadu_si512(weights + i));
    }
    results[s] = _mm512_reduce_add_epi32(sum);
  }
}

VSEARCH_AVX512 __m512 fixed(const std::uint8_t* high, const std::uint8_t* low, std::size_t i) {
  const __m512i h =
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(high + i)));
  const __m512i l =
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low + i)));
  return _mm512_cvtepi32_ps(_mm512_or_si512(_mm512_slli_epi32(h, 8), l));
}

VSEARCH_AVX512 float fixed_inner_product(const std::uint8_t* high, const std::uint8_t* low,
                                         const float* weights, std::size_t dim) {
  __m512 s0 = _mm512_setzero_ps();
  __m512 s1 = _mm512_setzero_ps();
  std::size_t i = 0;
  for (; i + 32 <= dim; i += 32) {
    s0 = _mm512_fmadd_ps(_mm512_loadu_ps(weights + i), fixed(high, low, i), s0);
    s1 = _mm512_fmadd_ps(_mm512_loadu_ps(weights + i + 16), fixed(high, low, i + 16), s1);
  }
  float sum = _mm512_reduce_add_ps(_mm512_add_ps(s0, s1));
  for (; i < dim; ++i) sum += weights[i] * static_cast<float>(256 * high[i] + low[i]);
  return sum;
}

VSEARCH_AVX512 float fixed_squared_l2(const std::uint8_t* high, const std::uint8_t* low,
                                      const float* weights, const float* units, std::size_t dim) {
  __m512 s0 = _mm512_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m512 d = _mm512_fnmadd_ps(_mm512_loadu_ps(units + i), fixed(high, low, i),
                                      _mm512_loadu_ps(weights + i));
    s0 = _mm512_fmadd_ps(d, d, s0);
  }
  float sum = _mm512_reduce_add_ps(s0);
  for (; i < dim; ++i) {
    const float d = weights[i] - units[i] * static_cast<float>(256 * high[i] + low[i]);
    sum += d * d;
  }
  return sum;
}

VSEARCH_AVX512 void decode(const std::uint8_t* high, const std::uint8_t* low, const float* lowest,
                           const float* units, std::size_t dim, float* vector) {
  generic::decode(high, low, lowest, units, dim, vector);
}

VSEARCH_AVX512 QuerySums weigh(const float* vector, const float* lowest, const float* units,
                               std::size_t dim, float* weights) {
  return generic::weigh(vector, lowest, units, dim, weights);
}

VSEARCH_AVX512 void quantise(const float* weights, float factor, std::size_t dim,
                             std::int8_t* bytes) {
  generic::quantise(weights, factor, dim, bytes);
}

}  // namespace

const Kernels* avx512_kernels() {
  __builtin_cpu_init();
  const Kernels* const avx2 = avx2_kernels();
  if (avx2 == nullptr || !__builtin_cpu_supports("avx512f") ||
      !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512vnni")) {
    return nullptr;
  }
  // In float32, wider registers gain nothing.
  static const Kernels kernels{"avx512-vnni",
                               avx2->inner_product,
                               avx2->squared_l2,
                               code_products,
                               fixed_inner_product,
                               fixed_squared_l2,
                               decode,
                               weigh,
                               quantise};
  return &kernels;
}

}  // namespace vsearch::index

#endif

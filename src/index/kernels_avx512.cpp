#include "index/kernels_x86.h"

#ifdef VSEARCH_X86_KERNELS

#include "index/kernels_generic.h"
#include "util/processor.h"

// GCC 12 warns of its own header: what _mm512_undefined_epi32() gives is meant to be undefined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#define VSEARCH_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))

namespace vsearch::index {
namespace {

// How 16 numbers of 16 bits are read.
struct Half {
  static VSEARCH_AVX512 __m512 widened(__m256i numbers) { return _mm512_cvtph_ps(numbers); }
};
struct Bfloat {
  static VSEARCH_AVX512 __m512 widened(__m256i numbers) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(numbers), 16));
  }
};

template <typename Short>
VSEARCH_AVX512 float short_inner_product(const float* a, const std::uint16_t* b, std::size_t dim) {
  __m512 s0 = _mm512_setzero_ps();
  __m512 s1 = _mm512_setzero_ps();
  const auto load = [&](std::size_t at) VSEARCH_AVX512 {
    return Short::widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + at)));
  };
  std::size_t i = 0;
  for (; i + 32 <= dim; i += 32) {
    s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), load(i), s0);
    s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), load(i + 16), s1);
  }
  for (; i < dim; i += 16) {
    const auto mask = static_cast<__mmask16>(dim - i >= 16 ? 0xFFFF : (1U << (dim - i)) - 1);
    s0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + i),
                         Short::widened(_mm256_maskz_loadu_epi16(mask, b + i)), s0);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(s0, s1));
}

template <typename Short>
VSEARCH_AVX512 float short_squared_l2(const float* a, const std::uint16_t* b, std::size_t dim) {
  __m512 s0 = _mm512_setzero_ps();
  __m512 s1 = _mm512_setzero_ps();
  const auto difference = [&](std::size_t at) VSEARCH_AVX512 {
    return _mm512_sub_ps(
        _mm512_loadu_ps(a + at),
        Short::widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + at))));
  };
  std::size_t i = 0;
  for (; i + 32 <= dim; i += 32) {
    const __m512 d0 = difference(i);
    const __m512 d1 = difference(i + 16);
    s0 = _mm512_fmadd_ps(d0, d0, s0);
    s1 = _mm512_fmadd_ps(d1, d1, s1);
  }
  for (; i < dim; i += 16) {
    const auto mask = static_cast<__mmask16>(dim - i >= 16 ? 0xFFFF : (1U << (dim - i)) - 1);
    const __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, a + i),
                                   Short::widened(_mm256_maskz_loadu_epi16(mask, b + i)));
    s0 = _mm512_fmadd_ps(d, d, s0);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(s0, s1));
}

// The sums over the lanes of four registers.
VSEARCH_AVX512 __m128i sums_of(const __m512i (&sums)[4]) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[0], sums[1]),
                                      _mm512_unpackhi_epi32(sums[0], sums[1]));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[2], sums[3]),
                                      _mm512_unpackhi_epi32(sums[2], sums[3]));
  const __m512i abcd =
      _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64(abcd, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Where 64 codes of a vector come from.
struct Bytes {
  static VSEARCH_AVX512 __m512i load(const std::uint8_t* codes, std::size_t i) {
    return _mm512_loadu_si512(codes + i);
  }
};
struct Pairs {
  static VSEARCH_AVX512 __m512i load(const std::uint8_t* codes, std::size_t i) {
    const __m512i shifts = _mm512_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6);
    const __m512i packed =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i / 4)));
    return _mm512_and_si512(_mm512_srlv_epi32(packed, shifts), _mm512_set1_epi8(3));
  }
};

// Four vectors together: each load of the weights serves all of them, and four chains of
// additions run side by side.
template <typename Codes>
VSEARCH_AVX512 void products(const std::uint8_t* codes, std::size_t stride, std::size_t width,
                             std::span<const Slot> slots, const std::int8_t* weights,
                             std::int32_t* results) {
  std::size_t s = 0;
  for (; s + 4 <= slots.size(); s += 4) {
    const std::uint8_t* const a = codes + slots[s] * stride;
    const std::uint8_t* const b = codes + slots[s + 1] * stride;
    const std::uint8_t* const c = codes + slots[s + 2] * stride;
    const std::uint8_t* const d = codes + slots[s + 3] * stride;
    __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                       _mm512_setzero_si512()};
    for (std::size_t i = 0; i < width; i += kCodeBlock) {
      const __m512i w = _mm512_loadu_si512(weights + i);
      sums[0] = _mm512_dpbusd_epi32(sums[0], Codes::load(a, i), w);
      sums[1] = _mm512_dpbusd_epi32(sums[1], Codes::load(b, i), w);
      sums[2] = _mm512_dpbusd_epi32(sums[2], Codes::load(c, i), w);
      sums[3] = _mm512_dpbusd_epi32(sums[3], Codes::load(d, i), w);
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(results + s), sums_of(sums));
  }
  for (; s < slots.size(); ++s) {
    const std::uint8_t* const a = codes + slots[s] * stride;
    __m512i sum = _mm512_setzero_si512();
    for (std::size_t i = 0; i < width; i += kCodeBlock) {
      sum = _mm512_dpbusd_epi32(sum, Codes::load(a, i), _mm512_loadu_si512(weights + i));
    }
    results[s] = _mm512_reduce_add_epi32(sum);
  }
}

VSEARCH_AVX512 __m512 as_floats(const std::uint8_t* bytes) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes))));
}

VSEARCH_AVX512 float fixed_inner_product(const std::uint8_t* high, const std::uint8_t* low,
                                         const float* high_weights, const float* low_weights,
                                         std::size_t dim) {
  __m512 s0 = _mm512_setzero_ps();
  __m512 s1 = _mm512_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    s0 = _mm512_fmadd_ps(_mm512_loadu_ps(high_weights + i), as_floats(high + i), s0);
    s1 = _mm512_fmadd_ps(_mm512_loadu_ps(low_weights + i), as_floats(low + i), s1);
  }
  float sum = _mm512_reduce_add_ps(_mm512_add_ps(s0, s1));
  for (; i < dim; ++i) {
    sum +=
        high_weights[i] * static_cast<float>(high[i]) + low_weights[i] * static_cast<float>(low[i]);
  }
  return sum;
}

VSEARCH_AVX512 float fixed_squared_l2(const std::uint8_t* high, const std::uint8_t* low,
                                      const float* vector, const float* steps, const float* units,
                                      std::size_t dim) {
  __m512 s0 = _mm512_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m512 rest = _mm512_fnmadd_ps(_mm512_loadu_ps(steps + i), as_floats(high + i),
                                         _mm512_loadu_ps(vector + i));
    const __m512 d = _mm512_fnmadd_ps(_mm512_loadu_ps(units + i), as_floats(low + i), rest);
    s0 = _mm512_fmadd_ps(d, d, s0);
  }
  float sum = _mm512_reduce_add_ps(s0);
  for (; i < dim; ++i) {
    const float d =
        vector[i] - steps[i] * static_cast<float>(high[i]) - units[i] * static_cast<float>(low[i]);
    sum += d * d;
  }
  return sum;
}

VSEARCH_AVX512 void decode(const std::uint8_t* high, const std::uint8_t* low, const float* lowest,
                           const float* steps, const float* units, std::size_t dim, float* vector) {
  generic::decode(high, low, lowest, steps, units, dim, vector);
}

VSEARCH_AVX512 QuerySums weigh(const float* vector, const float* lowest, const float* steps,
                               std::size_t dim, float* weights) {
  return generic::weigh(vector, lowest, steps, dim, weights);
}

VSEARCH_AVX512 void quantise(const float* weights, float factor, std::size_t dim,
                             std::int8_t* bytes) {
  generic::quantise(weights, factor, dim, bytes);
}

VSEARCH_AVX512 void widen(const std::uint8_t* bytes, std::size_t dim, std::uint8_t* least,
                          std::uint8_t* most) {
  generic::widen(bytes, dim, least, most);
}

VSEARCH_AVX512 void butterflies(const float* from, std::size_t half, float* to) {
  generic::butterflies(from, half, to);
}

}  // namespace

const Kernels* avx512_kernels() {
  if (!util::processor().avx512_vnni) return nullptr;
  const Kernels* const avx2 = avx2_kernels();
  static const Kernels kernels{
      .name = "avx512-vnni",
      // In float32, wider registers gain nothing.
      .inner_product = avx2->inner_product,
      .squared_l2 = avx2->squared_l2,
      .half_inner_product = short_inner_product<Half>,
      .half_squared_l2 = short_squared_l2<Half>,
      .bfloat_inner_product = short_inner_product<Bfloat>,
      .bfloat_squared_l2 = short_squared_l2<Bfloat>,
      .code_products = products<Bytes>,
      .packed_products = products<Pairs>,
      .fixed_inner_product = fixed_inner_product,
      .fixed_squared_l2 = fixed_squared_l2,
      .decode = decode,
      .weigh = weigh,
      .quantise = quantise,
      .widen = widen,
      .butterflies = butterflies,
  };
  return &kernels;
}

}  // namespace vsearch::index

#endif

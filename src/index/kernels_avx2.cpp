#include "index/kernels_x86.h"

#ifdef VSEARCH_X86_KERNELS

#include "index/halves.h"
#include "index/kernels_generic.h"
#include "util/processor.h"

#include <immintrin.h>

#define VSEARCH_AVX2 __attribute__((target("avx2,fma,f16c")))

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

// How 8 numbers of 16 bits are read, and one.
struct Half {
  static VSEARCH_AVX2 __m256 load(const std::uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static VSEARCH_AVX2 float one(std::uint16_t from) { return from_half(from); }
};
struct Bfloat {
  static VSEARCH_AVX2 __m256 load(const std::uint16_t* from) {
    const __m128i numbers = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(numbers), 16));
  }
  static VSEARCH_AVX2 float one(std::uint16_t from) { return from_bfloat(from); }
};

template <typename Short>
VSEARCH_AVX2 float short_inner_product(const float* a, const std::uint16_t* b, std::size_t dim) {
  __m256 s0 = _mm256_setzero_ps();
  __m256 s1 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), Short::load(b + i), s0);
    s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), Short::load(b + i + 8), s1);
  }
  float sum = sum_of(_mm256_add_ps(s0, s1));
  for (; i < dim; ++i) sum += a[i] * Short::one(b[i]);
  return sum;
}

template <typename Short>
VSEARCH_AVX2 float short_squared_l2(const float* a, const std::uint16_t* b, std::size_t dim) {
  __m256 s0 = _mm256_setzero_ps();
  __m256 s1 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m256 d0 = _mm256_sub_ps(_mm256_loadu_ps(a + i), Short::load(b + i));
    const __m256 d1 = _mm256_sub_ps(_mm256_loadu_ps(a + i + 8), Short::load(b + i + 8));
    s0 = _mm256_fmadd_ps(d0, d0, s0);
    s1 = _mm256_fmadd_ps(d1, d1, s1);
  }
  float sum = sum_of(_mm256_add_ps(s0, s1));
  for (; i < dim; ++i) {
    const float difference = a[i] - Short::one(b[i]);
    sum += difference * difference;
  }
  return sum;
}

// vpmaddubsw would saturate: bytes are widened to 16 bits first.
VSEARCH_AVX2 void code_products(const std::uint8_t* codes, std::size_t stride, std::size_t width,
                                std::span<const Slot> slots, const std::int8_t* weights,
                                std::int32_t* results) {
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::uint8_t* const code = codes + slots[s] * stride;
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

// Here nothing saturates: a code is at most 3.
VSEARCH_AVX2 void packed_products(const std::uint8_t* codes, std::size_t stride, std::size_t width,
                                  std::span<const Slot> slots, const std::int8_t* weights,
                                  std::int32_t* results) {
  const __m256i lowest = _mm256_set1_epi8(3);
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i first = _mm256_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2);
  const __m256i second = _mm256_setr_epi32(4, 4, 4, 4, 6, 6, 6, 6);
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::uint8_t* const code = codes + slots[s] * stride;
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t i = 0; i < width; i += kCodeBlock) {
      const __m256i packed = _mm256_broadcastsi128_si256(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(code + i / 4)));
      const auto half = [&](const __m256i& shifts, const std::int8_t* from) VSEARCH_AVX2 {
        return _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srlv_epi32(packed, shifts), lowest),
                                    _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
      };
      const __m256i both =
          _mm256_add_epi16(half(first, weights + i), half(second, weights + i + 32));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(both, ones));
    }
    results[s] = sum_of(sum);
  }
}

VSEARCH_AVX2 __m256 as_floats(const std::uint8_t* bytes) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
}

VSEARCH_AVX2 float fixed_inner_product(const std::uint8_t* high, const std::uint8_t* low,
                                       const float* high_weights, const float* low_weights,
                                       std::size_t dim) {
  __m256 s0 = _mm256_setzero_ps();
  __m256 s1 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(high_weights + i), as_floats(high + i), s0);
    s1 = _mm256_fmadd_ps(_mm256_loadu_ps(low_weights + i), as_floats(low + i), s1);
  }
  float sum = sum_of(_mm256_add_ps(s0, s1));
  for (; i < dim; ++i) {
    sum +=
        high_weights[i] * static_cast<float>(high[i]) + low_weights[i] * static_cast<float>(low[i]);
  }
  return sum;
}

VSEARCH_AVX2 float fixed_squared_l2(const std::uint8_t* high, const std::uint8_t* low,
                                    const float* vector, const float* steps, const float* units,
                                    std::size_t dim) {
  __m256 s0 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    const __m256 rest = _mm256_fnmadd_ps(_mm256_loadu_ps(steps + i), as_floats(high + i),
                                         _mm256_loadu_ps(vector + i));
    const __m256 d = _mm256_fnmadd_ps(_mm256_loadu_ps(units + i), as_floats(low + i), rest);
    s0 = _mm256_fmadd_ps(d, d, s0);
  }
  float sum = sum_of(s0);
  for (; i < dim; ++i) {
    const float d =
        vector[i] - steps[i] * static_cast<float>(high[i]) - units[i] * static_cast<float>(low[i]);
    sum += d * d;
  }
  return sum;
}

VSEARCH_AVX2 void decode(const std::uint8_t* high, const std::uint8_t* low, const float* lowest,
                         const float* steps, const float* units, std::size_t dim, float* vector) {
  generic::decode(high, low, lowest, steps, units, dim, vector);
}

VSEARCH_AVX2 QuerySums weigh(const float* vector, const float* lowest, const float* steps,
                             std::size_t dim, float* weights) {
  return generic::weigh(vector, lowest, steps, dim, weights);
}

VSEARCH_AVX2 void quantise(const float* weights, float factor, std::size_t dim,
                           std::int8_t* bytes) {
  generic::quantise(weights, factor, dim, bytes);
}

VSEARCH_AVX2 void widen(const std::uint8_t* bytes, std::size_t dim, std::uint8_t* least,
                        std::uint8_t* most) {
  generic::widen(bytes, dim, least, most);
}

VSEARCH_AVX2 void butterflies(const float* from, std::size_t half, float* to) {
  generic::butterflies(from, half, to);
}

constexpr Kernels kKernels{
    .name = "avx2",
    .inner_product = inner_product,
    .squared_l2 = squared_l2,
    .half_inner_product = short_inner_product<Half>,
    .half_squared_l2 = short_squared_l2<Half>,
    .bfloat_inner_product = short_inner_product<Bfloat>,
    .bfloat_squared_l2 = short_squared_l2<Bfloat>,
    .code_products = code_products,
    .packed_products = packed_products,
    .fixed_inner_product = fixed_inner_product,
    .fixed_squared_l2 = fixed_squared_l2,
    .decode = decode,
    .weigh = weigh,
    .quantise = quantise,
    .widen = widen,
    .butterflies = butterflies,
};

}  // namespace

const Kernels* avx2_kernels() {
  return util::processor().avx2 ? &kKernels : nullptr;
}

}  // namespace vsearch::index

#endif

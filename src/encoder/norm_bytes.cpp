#include "encoder/norm_bytes.h"

#if defined(__x86_64__)

#include <cmath>

#include "encoder/avx512.h"

namespace vsearch::encoder {
namespace {

constexpr std::size_t kUnroll = 4;  // a row is a multiple of 4 registers

VSEARCH_AVX512_ENTRY void norm_row(const float* x, std::size_t dim, const float* weight,
                                   const float* bias, float eps, std::uint8_t* out) {
  __m512 sums[kUnroll];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (std::size_t d = 0; d < dim; d += kUnroll * kLanes) {
    for (std::size_t u = 0; u < kUnroll; ++u) {
      sums[u] = _mm512_add_ps(sums[u], _mm512_loadu_ps(x + d + u * kLanes));
    }
  }
  const auto total = [&]() __attribute__((target(VSEARCH_AVX512_TARGET))) {
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
  };
  const __m512 mean = _mm512_set1_ps(total() / static_cast<float>(dim));
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (std::size_t d = 0; d < dim; d += kUnroll * kLanes) {
    for (std::size_t u = 0; u < kUnroll; ++u) {
      const __m512 centred = _mm512_sub_ps(_mm512_loadu_ps(x + d + u * kLanes), mean);
      sums[u] = _mm512_fmadd_ps(centred, centred, sums[u]);
    }
  }
  const float variance = total() / static_cast<float>(dim);
  const __m512 factor = _mm512_set1_ps(1.0F / std::sqrt(variance + eps));
  const __m512i nothing = _mm512_setzero_si512();
  const __m512i most = _mm512_set1_epi32(255);
  const std::size_t quarter = dim / 4;
  for (std::size_t j = 0; j < quarter; j += kLanes) {
    __m512i parts[4];
    for (std::size_t c = 0; c < 4; ++c) {
      const std::size_t d = c * quarter + j;
      const __m512 centred = _mm512_sub_ps(_mm512_loadu_ps(x + d), mean);
      const __m512 value = _mm512_fmadd_ps(_mm512_mul_ps(centred, factor),
                                           _mm512_loadu_ps(weight + d), _mm512_loadu_ps(bias + d));
      parts[c] = _mm512_min_epi32(_mm512_max_epi32(_mm512_cvtps_epi32(value), nothing), most);
    }
    _mm512_storeu_si512(out + 4 * j, pack_bytes(parts));
  }
}

}  // namespace

bool can_norm_to_bytes(std::size_t dim) {
  return has_avx512() && dim > 0 && dim % (kUnroll * kLanes) == 0;
}

void norm_to_bytes(const float* x, std::size_t rows, std::size_t dim, const float* weight,
                   const float* bias, float eps, std::uint8_t* out) {
  for (std::size_t i = 0; i < rows; ++i) {
    norm_row(x + i * dim, dim, weight, bias, eps, out + i * dim);
  }
}

}  // namespace vsearch::encoder

#else

namespace vsearch::encoder {

bool can_norm_to_bytes(std::size_t) {
  return false;
}

void norm_to_bytes(const float*, std::size_t, std::size_t, const float*, const float*, float,
                   std::uint8_t*) {}

}  // namespace vsearch::encoder

#endif

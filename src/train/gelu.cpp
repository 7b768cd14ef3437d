#include "train/gelu.h"

#include <ATen/ops/empty_like.h>

#if defined(__x86_64__)

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "encoder/avx512.h"

namespace vsearch::training {
namespace {

using encoder::kLanes;
using encoder::store_bf16;

// Of the normal distribution.
struct Normal {
  __m512 below;    // Phi(x)
  __m512 density;  // phi(x)
};

// The error function by Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26, exact to
// 1.5e-7; its exponential is the density's too.
VSEARCH_AVX512 Normal normal_at(__m512 x) {
  constexpr float kSlope = 0.3275911F;
  constexpr float kSeries[] = {0.254829592F, -0.284496736F, 1.421413741F, -1.453152027F,
                               1.061405429F};
  constexpr float kHalfSqrt2 = 0.70710678F;
  constexpr float kHalfLog2E = 0.72134752F;
  constexpr float kDensityAt0 = 0.39894228F;
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 size = _mm512_abs_ps(x);
  // Exact to 2^-14 of the value, where what it goes into is rounded to 2^-9.
  const __m512 t = _mm512_rcp14_ps(_mm512_fmadd_ps(size, _mm512_set1_ps(kSlope * kHalfSqrt2), one));
  __m512 sum = _mm512_set1_ps(kSeries[4]);
#pragma GCC unroll 4
  for (int i = 3; i >= 0; --i) sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(kSeries[i]));
  const __m512 exponential =
      encoder::exp2<5>(_mm512_mul_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(-kHalfLog2E)));
  // Of the half line away from 0.
  const __m512 tail =
      _mm512_mul_ps(_mm512_mul_ps(sum, t), _mm512_mul_ps(exponential, _mm512_set1_ps(0.5F)));
  const __mmask16 is_below = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  return {_mm512_mask_blend_ps(is_below, _mm512_sub_ps(one, tail), tail),
          _mm512_mul_ps(exponential, _mm512_set1_ps(kDensityAt0))};
}

VSEARCH_AVX512 void value_of_16(const std::uint16_t* x, std::uint16_t* to) {
  const __m512 at = encoder::load_bf16(x);
  store_bf16(to, _mm512_mul_ps(at, normal_at(at).below));
}

VSEARCH_AVX512 void gradient_of_16(const std::uint16_t* gradient, const std::uint16_t* x,
                                   std::uint16_t* to) {
  const __m512 at = encoder::load_bf16(x);
  const Normal normal = normal_at(at);
  store_bf16(to, _mm512_mul_ps(encoder::load_bf16(gradient),
                               _mm512_fmadd_ps(at, normal.density, normal.below)));
}

// The last values go through memory of a whole register.
VSEARCH_AVX512_ENTRY void values_of(const std::uint16_t* x, std::size_t count, std::uint16_t* to) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) value_of_16(x + i, to + i);
  if (i == count) return;
  std::uint16_t last[kLanes] = {};
  std::copy(x + i, x + count, last);
  value_of_16(last, last);
  std::copy_n(last, count - i, to + i);
}

VSEARCH_AVX512_ENTRY void gradients_of(const std::uint16_t* gradient, const std::uint16_t* x,
                                       std::size_t count, std::uint16_t* to) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) gradient_of_16(gradient + i, x + i, to + i);
  if (i == count) return;
  std::uint16_t last[kLanes] = {};
  std::uint16_t last_gradient[kLanes] = {};
  std::copy(x + i, x + count, last);
  std::copy(gradient + i, gradient + count, last_gradient);
  gradient_of_16(last_gradient, last, last);
  std::copy_n(last, count - i, to + i);
}

constexpr std::int64_t kLeastValues = 8192;  // that a thread of its own is worth

}  // namespace

bool supports_gelu() {
  return encoder::has_avx512();
}

at::Tensor gelu_values(const at::Tensor& x) {
  at::Tensor result = at::empty_like(x);
  const auto* const from = static_cast<const std::uint16_t*>(x.const_data_ptr());
  auto* const to = static_cast<std::uint16_t*>(result.mutable_data_ptr());
  at::parallel_for(0, x.numel(), kLeastValues, [&](std::int64_t begin, std::int64_t end) {
    values_of(from + begin, static_cast<std::size_t>(end - begin), to + begin);
  });
  return result;
}

at::Tensor gelu_gradient(const at::Tensor& gradient, const at::Tensor& x) {
  at::Tensor result = at::empty_like(x);
  const auto* const from = static_cast<const std::uint16_t*>(x.const_data_ptr());
  const auto* const back = static_cast<const std::uint16_t*>(gradient.const_data_ptr());
  auto* const to = static_cast<std::uint16_t*>(result.mutable_data_ptr());
  at::parallel_for(0, x.numel(), kLeastValues, [&](std::int64_t begin, std::int64_t end) {
    gradients_of(back + begin, from + begin, static_cast<std::size_t>(end - begin), to + begin);
  });
  return result;
}

}  // namespace vsearch::training

#else

namespace vsearch::training {

bool supports_gelu() {
  return false;
}

at::Tensor gelu_values(const at::Tensor& x) {
  return x;
}

at::Tensor gelu_gradient(const at::Tensor& gradient, const at::Tensor&) {
  return gradient;
}

}  // namespace vsearch::training

#endif

#include "index/kernels_neon.h"

#ifdef VSEARCH_NEON_KERNELS

#include <arm_neon.h>

#include "index/halves.h"
#include "index/kernels_generic.h"
#include "util/processor.h"

#define VSEARCH_DOT_PRODUCT __attribute__((target("arch=armv8.2-a+dotprod")))
#define VSEARCH_MATRIX_INT8 __attribute__((target("arch=armv8.2-a+dotprod+i8mm")))

namespace vsearch::index {
namespace {

// How 4 numbers are read, and one.
struct Float {
  using Type = float;
  static float32x4_t load(const float* from) { return vld1q_f32(from); }
  static float one(float from) { return from; }
};
struct Half {
  using Type = std::uint16_t;
  static float32x4_t load(const std::uint16_t* from) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
  }
  static float one(std::uint16_t from) { return from_half(from); }
};
struct Bfloat {
  using Type = std::uint16_t;
  static float32x4_t load(const std::uint16_t* from) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from), 16));
  }
  static float one(std::uint16_t from) { return from_bfloat(from); }
};

// Four sums at a time hide the latency of a fused multiply-add.
template <typename Number>
float inner_product(const float* a, const typename Number::Type* b, std::size_t dim) {
  float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    for (std::size_t j = 0; j < 4; ++j) {
      sums[j] = vfmaq_f32(sums[j], vld1q_f32(a + i + 4 * j), Number::load(b + i + 4 * j));
    }
  }
  for (; i + 4 <= dim; i += 4) sums[0] = vfmaq_f32(sums[0], vld1q_f32(a + i), Number::load(b + i));
  float sum = vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])));
  for (; i < dim; ++i) sum += a[i] * Number::one(b[i]);
  return sum;
}

template <typename Number>
float squared_l2(const float* a, const typename Number::Type* b, std::size_t dim) {
  float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  const auto add = [&](float32x4_t& sum, std::size_t at) {
    const float32x4_t difference = vsubq_f32(vld1q_f32(a + at), Number::load(b + at));
    sum = vfmaq_f32(sum, difference, difference);
  };
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    for (std::size_t j = 0; j < 4; ++j) add(sums[j], i + 4 * j);
  }
  for (; i + 4 <= dim; i += 4) add(sums[0], i);
  float sum = vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])));
  for (; i < dim; ++i) {
    const float difference = a[i] - Number::one(b[i]);
    sum += difference * difference;
  }
  return sum;
}

// Where 64 codes of a vector come from, 16 at a time.
struct Bytes {
  explicit Bytes(const std::uint8_t* codes) : codes_(codes) {}
  uint8x16_t part(std::size_t j) const { return vld1q_u8(codes_ + 16 * j); }
  static constexpr std::size_t kBlock = kCodeBlock;

 private:
  const std::uint8_t* codes_;
};
struct Pairs {
  explicit Pairs(const std::uint8_t* codes) : packed_(vld1q_u8(codes)) {}
  uint8x16_t part(std::size_t j) const {
    return vandq_u8(
        vshlq_u8(packed_, vdupq_n_s8(static_cast<std::int8_t>(-2 * static_cast<int>(j)))),
        vdupq_n_u8(3));
  }
  static constexpr std::size_t kBlock = kPackedBlock;

 private:
  uint8x16_t packed_;
};

// There are products of signed bytes only: codes are taken less 128, and 128 times the sum of the
// weights is added again. Two products, each at most 128 * 127, fit into 16 bits.
template <typename Codes>
void products(const std::uint8_t* codes, std::size_t stride, std::size_t width,
              std::span<const Slot> slots, const std::int8_t* weights, std::int32_t* results) {
  std::int32_t weight = 0;
  for (std::size_t i = 0; i < width; ++i) weight += weights[i];
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::uint8_t* code = codes + slots[s] * stride;
    int32x4_t sums[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
    for (std::size_t i = 0; i < width; i += kCodeBlock, code += Codes::kBlock) {
      const Codes block(code);
      for (std::size_t j = 0; j < 4; ++j) {
        const int8x16_t c = vreinterpretq_s8_u8(veorq_u8(block.part(j), vdupq_n_u8(0x80)));
        const int8x16_t w = vld1q_s8(weights + i + 16 * j);
        const int16x8_t pairs = vmlal_high_s8(vmull_s8(vget_low_s8(c), vget_low_s8(w)), c, w);
        sums[j % 2] = vpadalq_s16(sums[j % 2], pairs);
      }
    }
    results[s] = vaddvq_s32(vaddq_s32(sums[0], sums[1])) + 128 * weight;
  }
}

template <typename Codes>
VSEARCH_DOT_PRODUCT void dot_products(const std::uint8_t* codes, std::size_t stride,
                                      std::size_t width, std::span<const Slot> slots,
                                      const std::int8_t* weights, std::int32_t* results) {
  std::int32_t weight = 0;
  for (std::size_t i = 0; i < width; ++i) weight += weights[i];
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::uint8_t* code = codes + slots[s] * stride;
    int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (std::size_t i = 0; i < width; i += kCodeBlock, code += Codes::kBlock) {
      const Codes block(code);
      for (std::size_t j = 0; j < 4; ++j) {
        const int8x16_t c = vreinterpretq_s8_u8(veorq_u8(block.part(j), vdupq_n_u8(0x80)));
        sums[j] = vdotq_s32(sums[j], c, vld1q_s8(weights + i + 16 * j));
      }
    }
    results[s] = vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3]))) +
                 128 * weight;
  }
}

// With products of unsigned and signed bytes.
template <typename Codes>
VSEARCH_MATRIX_INT8 void mixed_products(const std::uint8_t* codes, std::size_t stride,
                                        std::size_t width, std::span<const Slot> slots,
                                        const std::int8_t* weights, std::int32_t* results) {
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::uint8_t* code = codes + slots[s] * stride;
    int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (std::size_t i = 0; i < width; i += kCodeBlock, code += Codes::kBlock) {
      const Codes block(code);
      for (std::size_t j = 0; j < 4; ++j) {
        sums[j] = vusdotq_s32(sums[j], block.part(j), vld1q_s8(weights + i + 16 * j));
      }
    }
    results[s] = vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3])));
  }
}

// 8 bytes as floats.
struct Floats {
  explicit Floats(const std::uint8_t* bytes) {
    const uint16x8_t numbers = vmovl_u8(vld1_u8(bytes));
    first = vcvtq_f32_u32(vmovl_u16(vget_low_u16(numbers)));
    second = vcvtq_f32_u32(vmovl_high_u16(numbers));
  }
  float32x4_t first;
  float32x4_t second;
};

float fixed_inner_product(const std::uint8_t* high, const std::uint8_t* low,
                          const float* high_weights, const float* low_weights, std::size_t dim) {
  float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  std::size_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    const Floats upper(high + i);
    const Floats lower(low + i);
    sums[0] = vfmaq_f32(sums[0], vld1q_f32(high_weights + i), upper.first);
    sums[1] = vfmaq_f32(sums[1], vld1q_f32(high_weights + i + 4), upper.second);
    sums[2] = vfmaq_f32(sums[2], vld1q_f32(low_weights + i), lower.first);
    sums[3] = vfmaq_f32(sums[3], vld1q_f32(low_weights + i + 4), lower.second);
  }
  float sum = vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])));
  for (; i < dim; ++i) {
    sum +=
        high_weights[i] * static_cast<float>(high[i]) + low_weights[i] * static_cast<float>(low[i]);
  }
  return sum;
}

float fixed_squared_l2(const std::uint8_t* high, const std::uint8_t* low, const float* vector,
                       const float* steps, const float* units, std::size_t dim) {
  float32x4_t s0 = vdupq_n_f32(0);
  float32x4_t s1 = vdupq_n_f32(0);
  const auto add = [&](float32x4_t& sum, std::size_t at, float32x4_t upper, float32x4_t lower) {
    const float32x4_t rest = vfmsq_f32(vld1q_f32(vector + at), vld1q_f32(steps + at), upper);
    const float32x4_t d = vfmsq_f32(rest, vld1q_f32(units + at), lower);
    sum = vfmaq_f32(sum, d, d);
  };
  std::size_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    const Floats upper(high + i);
    const Floats lower(low + i);
    add(s0, i, upper.first, lower.first);
    add(s1, i + 4, upper.second, lower.second);
  }
  float sum = vaddvq_f32(vaddq_f32(s0, s1));
  for (; i < dim; ++i) {
    const float d =
        vector[i] - steps[i] * static_cast<float>(high[i]) - units[i] * static_cast<float>(low[i]);
    sum += d * d;
  }
  return sum;
}

// The compiler turns these into NEON by itself.
void decode(const std::uint8_t* high, const std::uint8_t* low, const float* lowest,
            const float* steps, const float* units, std::size_t dim, float* vector) {
  generic::decode(high, low, lowest, steps, units, dim, vector);
}

QuerySums weigh(const float* vector, const float* lowest, const float* steps, std::size_t dim,
                float* weights) {
  return generic::weigh(vector, lowest, steps, dim, weights);
}

void quantise(const float* weights, float factor, std::size_t dim, std::int8_t* bytes) {
  generic::quantise(weights, factor, dim, bytes);
}

void widen(const std::uint8_t* bytes, std::size_t dim, std::uint8_t* least, std::uint8_t* most) {
  generic::widen(bytes, dim, least, most);
}

void butterflies(const float* from, std::size_t half, float* to) {
  generic::butterflies(from, half, to);
}

constexpr Kernels kNeon{
    .name = "neon",
    .inner_product = inner_product<Float>,
    .squared_l2 = squared_l2<Float>,
    .half_inner_product = inner_product<Half>,
    .half_squared_l2 = squared_l2<Half>,
    .bfloat_inner_product = inner_product<Bfloat>,
    .bfloat_squared_l2 = squared_l2<Bfloat>,
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

}  // namespace

const Kernels& neon_kernels() {
  return kNeon;
}

const Kernels* neon_dot_product_kernels() {
  static const Kernels kernels = [] {
    Kernels result = kNeon;
    result.name = "neon-dotprod";
    result.code_products = dot_products<Bytes>;
    result.packed_products = dot_products<Pairs>;
    return result;
  }();
  return util::processor().dot_product ? &kernels : nullptr;
}

const Kernels* neon_matrix_int8_kernels() {
  static const Kernels kernels = [] {
    Kernels result = kNeon;
    result.name = "neon-i8mm";
    result.code_products = mixed_products<Bytes>;
    result.packed_products = mixed_products<Pairs>;
    return result;
  }();
  return util::processor().matrix_int8 ? &kernels : nullptr;
}

}  // namespace vsearch::index

#endif

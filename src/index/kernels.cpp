#include "index/kernels.h"

#include <vector>

#include "index/halves.h"
#include "index/kernels_generic.h"
#include "index/kernels_neon.h"
#include "index/kernels_x86.h"

namespace vsearch::index {
namespace {

// Independent partial sums let the compiler use whatever vectors the architecture always has (SSE2,
// NEON) without reordering a single sum.
constexpr std::size_t kLanes = 16;

// The sum of term(i) for i below n.
template <typename Term>
float sum_of_terms(std::size_t n, const Term& term) {
  float sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += term(i + lane);
  }
  for (; i < n; ++i) sums[i % kLanes] += term(i);
  float sum = 0.0F;
  for (const float partial : sums) sum += partial;
  return sum;
}

float inner_product(const float* a, const float* b, std::size_t dim) {
  return sum_of_terms(dim, [&](std::size_t i) { return a[i] * b[i]; });
}

float squared_l2(const float* a, const float* b, std::size_t dim) {
  return sum_of_terms(dim, [&](std::size_t i) { return (a[i] - b[i]) * (a[i] - b[i]); });
}

// Read as from_half() and from_bfloat() do.
template <float (*read)(std::uint16_t)>
float short_inner_product(const float* a, const std::uint16_t* b, std::size_t dim) {
  return sum_of_terms(dim, [&](std::size_t i) { return a[i] * read(b[i]); });
}

template <float (*read)(std::uint16_t)>
float short_squared_l2(const float* a, const std::uint16_t* b, std::size_t dim) {
  return sum_of_terms(dim, [&](std::size_t i) {
    const float difference = a[i] - read(b[i]);
    return difference * difference;
  });
}

void code_products(const std::uint8_t* codes, std::size_t stride, std::size_t width,
                   std::span<const Slot> slots, const std::int8_t* weights, std::int32_t* results) {
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::uint8_t* const code = codes + slots[s] * stride;
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += code[i] * weights[i];
    results[s] = sum;
  }
}

void packed_products(const std::uint8_t* codes, std::size_t stride, std::size_t width,
                     std::span<const Slot> slots, const std::int8_t* weights,
                     std::int32_t* results) {
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::uint8_t* const code = codes + slots[s] * stride;
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t block = i / kCodeBlock;
      const std::size_t number = i % kCodeBlock;
      const int packed = code[kPackedBlock * block + number % kPackedBlock];
      sum += (packed >> (2 * (number / kPackedBlock)) & 3) * weights[i];
    }
    results[s] = sum;
  }
}

float fixed_inner_product(const std::uint8_t* high, const std::uint8_t* low,
                          const float* high_weights, const float* low_weights, std::size_t dim) {
  return sum_of_terms(dim, [&](std::size_t i) {
    return high_weights[i] * static_cast<float>(high[i]) +
           low_weights[i] * static_cast<float>(low[i]);
  });
}

float fixed_squared_l2(const std::uint8_t* high, const std::uint8_t* low, const float* vector,
                       const float* steps, const float* units, std::size_t dim) {
  return sum_of_terms(dim, [&](std::size_t i) {
    const float difference =
        vector[i] - steps[i] * static_cast<float>(high[i]) - units[i] * static_cast<float>(low[i]);
    return difference * difference;
  });
}

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

constexpr Kernels kPortable{
    .name = "portable",
    .inner_product = inner_product,
    .squared_l2 = squared_l2,
    .half_inner_product = short_inner_product<from_half>,
    .half_squared_l2 = short_squared_l2<from_half>,
    .bfloat_inner_product = short_inner_product<from_bfloat>,
    .bfloat_squared_l2 = short_squared_l2<from_bfloat>,
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

std::vector<Kernels> find_kernels() {
  std::vector<Kernels> found;
#if defined(VSEARCH_X86_KERNELS)
  for (const Kernels* const kernel : {avx512_kernels(), avx2_kernels()}) {
    if (kernel != nullptr) found.push_back(*kernel);
  }
#elif defined(VSEARCH_NEON_KERNELS)
  for (const Kernels* const kernel :
       {neon_matrix_int8_kernels(), neon_dot_product_kernels(), &neon_kernels()}) {
    if (kernel != nullptr) found.push_back(*kernel);
  }
#endif
  found.push_back(kPortable);
  return found;
}

}  // namespace

std::span<const Kernels> kernels() {
  static const std::vector<Kernels> found = find_kernels();
  return found;
}

}  // namespace vsearch::index

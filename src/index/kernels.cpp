#include "index/kernels.h"

#include <vector>

#include "index/kernels_generic.h"
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

void code_products(const std::uint8_t* codes, std::size_t width, std::span<const Slot> slots,
                   const std::int8_t* weights, std::int32_t* results) {
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::uint8_t* const code = codes + slots[s] * width;
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += code[i] * weights[i];
    results[s] = sum;
  }
}

float fixed(const std::uint8_t* high, const std::uint8_t* low, std::size_t i) {
  return static_cast<float>(256 * high[i] + low[i]);
}

float fixed_inner_product(const std::uint8_t* high, const std::uint8_t* low, const float* weights,
                          std::size_t dim) {
  return sum_of_terms(dim, [&](std::size_t i) { return weights[i] * fixed(high, low, i); });
}

float fixed_squared_l2(const std::uint8_t* high, const std::uint8_t* low, const float* weights,
                       const float* units, std::size_t dim) {
  return sum_of_terms(dim, [&](std::size_t i) {
    const float difference = weights[i] - units[i] * fixed(high, low, i);
    return difference * difference;
  });
}

void decode(const std::uint8_t* high, const std::uint8_t* low, const float* lowest,
            const float* units, std::size_t dim, float* vector) {
  generic::decode(high, low, lowest, units, dim, vector);
}

QuerySums weigh(const float* vector, const float* lowest, const float* units, std::size_t dim,
                float* weights) {
  return generic::weigh(vector, lowest, units, dim, weights);
}

void quantise(const float* weights, float factor, std::size_t dim, std::int8_t* bytes) {
  generic::quantise(weights, factor, dim, bytes);
}

constexpr Kernels kPortable{
    "portable",       inner_product, squared_l2, code_products, fixed_inner_product,
    fixed_squared_l2, decode,        weigh,      quantise};

std::vector<Kernels> find_kernels() {
  std::vector<Kernels> found;
#ifdef VSEARCH_X86_KERNELS
  for (const Kernels* const kernel : {avx512_kernels(), avx2_kernels()}) {
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

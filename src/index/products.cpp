#include "index/products.h"

#include <cstring>
#include <vector>

namespace vsearch::index {
namespace {

// What SSE2 and NEON hold in a register.
using Four = float __attribute__((vector_size(16)));

// As many sums as they have registers for.
constexpr std::size_t kRows = 4;
constexpr std::size_t kLanes = 8;

Four load(const float* from) {
  Four four;
  std::memcpy(&four, from, sizeof(four));
  return four;
}

void multiply(const float* vectors, std::size_t stride, const float* packed, std::size_t depth,
              bool add, float* sums) {
  Four low[kRows] = {};
  Four high[kRows] = {};
  if (add) {
    for (std::size_t r = 0; r < kRows; ++r) {
      low[r] = load(sums + r * kLanes);
      high[r] = load(sums + r * kLanes + 4);
    }
  }
  for (std::size_t i = 0; i < depth; ++i) {
    const Four q_low = load(packed + i * kLanes);
    const Four q_high = load(packed + i * kLanes + 4);
    for (std::size_t r = 0; r < kRows; ++r) {
      const float value = vectors[r * stride + i];
      low[r] += value * q_low;
      high[r] += value * q_high;
    }
  }
  for (std::size_t r = 0; r < kRows; ++r) {
    std::memcpy(sums + r * kLanes, &low[r], sizeof(Four));
    std::memcpy(sums + r * kLanes + 4, &high[r], sizeof(Four));
  }
}

constexpr Products kPortable{"portable", kRows, kLanes, multiply};

std::vector<Products> find_products() {
  std::vector<Products> found;
#ifdef VSEARCH_X86_KERNELS
  for (const Products* const each : {avx512_products(), avx2_products()}) {
    if (each != nullptr) found.push_back(*each);
  }
#endif
  found.push_back(kPortable);
  return found;
}

}  // namespace

std::span<const Products> products() {
  static const std::vector<Products> found = find_products();
  return found;
}

}  // namespace vsearch::index

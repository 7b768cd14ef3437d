#include "index/rotation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>

namespace vsearch::index {
namespace {

// Even, so that both ends are transformed equally often. With two rounds, a vector along one axis
// still has several equal components.
constexpr std::size_t kRounds = 4;

}  // namespace

Rotation::Rotation(std::size_t dim) : dim_(dim), power_(std::bit_floor(dim)) {
  signs_.resize(kRounds * power_);
  const float factor = 1.0F / std::sqrt(static_cast<float>(power_));
  std::uint64_t state = 0;
  for (float& sign : signs_) {
    std::uint64_t bits = (state += 0x9E3779B97F4A7C15U);  // splitmix64
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
    sign = (bits >> 63) != 0 ? -factor : factor;
  }
}

void Rotation::apply(const Kernels& kernels, float* values, float* scratch) const noexcept {
  for (std::size_t round = 0; round < kRounds; ++round) {
    float* const part = values + (round % 2 == 0 ? 0 : dim_ - power_);
    const float* const signs = signs_.data() + round * power_;
    for (std::size_t i = 0; i < power_; ++i) part[i] *= signs[i];
    float* from = part;
    float* to = scratch;
    for (std::size_t width = 1; width < power_; width *= 2) {
      kernels.butterflies(from, power_ / 2, to);
      std::swap(from, to);
    }
    if (from != part) std::copy_n(from, power_, part);
  }
}

}  // namespace vsearch::index

// Loops that the compiler turns into vector code for whatever processor they are compiled for.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "index/kernels.h"

namespace vsearch::index::generic {

#define VSEARCH_GENERIC __attribute__((always_inline)) inline

// Independent partial sums, so that no single sum has to be reordered.
constexpr std::size_t kLanes = 16;

VSEARCH_GENERIC float total(const float (&lanes)[kLanes]) {
  float sum = 0.0F;
  for (const float lane : lanes) sum += lane;
  return sum;
}

VSEARCH_GENERIC void decode(const std::uint8_t* high, const std::uint8_t* low, const float* lowest,
                            const float* steps, const float* units, std::size_t dim,
                            float* vector) {
  for (std::size_t i = 0; i < dim; ++i) {
    vector[i] = lowest[i] +
                (steps[i] * static_cast<float>(high[i]) + units[i] * static_cast<float>(low[i]));
  }
}

VSEARCH_GENERIC QuerySums weigh(const float* vector, const float* lowest, const float* steps,
                                std::size_t dim, float* weights) {
  float base[kLanes] = {};
  float middle[kLanes] = {};
  float squares[kLanes] = {};
  float most[kLanes] = {};
  const auto term = [&](std::size_t i, std::size_t lane) __attribute__((always_inline)) {
    const float value = vector[i];
    const float weight = value * steps[i];
    weights[i] = weight;
    base[lane] += value * lowest[i];
    middle[lane] += weight;
    squares[lane] += value * value;
    const float magnitude = std::fabs(weight);
    most[lane] = most[lane] < magnitude ? magnitude : most[lane];
  };
  std::size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) term(i + lane, lane);
  }
  for (std::size_t lane = 0; i < dim; ++i, ++lane) term(i, lane);
  return {total(base), total(middle), total(squares), *std::max_element(most, most + kLanes)};
}

VSEARCH_GENERIC void quantise(const float* weights, float factor, std::size_t dim,
                              std::int8_t* bytes) {
  for (std::size_t i = 0; i < dim; ++i) {
    const float steps = weights[i] * factor;
    bytes[i] = static_cast<std::int8_t>(static_cast<int>(steps + (steps < 0 ? -0.5F : 0.5F)));
  }
}

VSEARCH_GENERIC void widen(const std::uint8_t* bytes, std::size_t dim, std::uint8_t* least,
                           std::uint8_t* most) {
  for (std::size_t i = 0; i < dim; ++i) {
    least[i] = least[i] < bytes[i] ? least[i] : bytes[i];
    most[i] = most[i] > bytes[i] ? most[i] : bytes[i];
  }
}

VSEARCH_GENERIC void butterflies(const float* __restrict from, std::size_t half,
                                 float* __restrict to) {
  for (std::size_t i = 0; i < half; ++i) {
    const float a = from[i];
    const float b = from[half + i];
    to[2 * i] = a + b;
    to[2 * i + 1] = a - b;
  }
}

}  // namespace vsearch::index::generic

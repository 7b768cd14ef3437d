// Vectors as 16-bit fixed-point numbers, with a range for each dimension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vsearch/types.h"

namespace vsearch::index {

// The number v, 0 to 65,535, of dimension i means low[i] + unit[i] * v. Its upper byte alone, with
// 128 in the place of the lower, is what walks compare.
struct FixedPoint {
  std::vector<float> low;   // [dim]
  std::vector<float> unit;  // [dim], not negative

  std::size_t dim() const { return low.size(); }
  std::size_t memory_bytes() const { return (low.size() + unit.size()) * sizeof(float); }

  bool covers(std::span<const float> vector) const;
  // `vector` [dim] must be covered.
  void encode(std::span<const float> vector, std::uint8_t* high, std::uint8_t* low_bytes) const;
};

// Ranges that cover `rows`, those that are not zero of `known` (no dimensions: there are none yet),
// and some room for what is to come.
FixedPoint covering(const FixedPoint& known, std::span<const std::span<const float>> rows,
                    std::size_t dim);

}  // namespace vsearch::index

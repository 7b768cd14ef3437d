// Vectors as 16-bit fixed-point numbers, with a range for each dimension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vsearch/types.h"

namespace vsearch::index {

// The upper byte h and the lower byte l of dimension i mean low[i] + step[i] * h + unit[i] * l.
// Walks compare h alone, and take the middle of its step. A step is a whole number of units, 129 to
// 256 of them, so that the steps fit the range, of which every unit counts in a walk.
//
// covering() and narrowed() make units that are powers of two, and `low` a multiple of its unit. So
// what was rounded to one grid stands on every finer one, and to encode anew rounds only where a
// unit grows beyond all that the vector went through: however often that happens, a stored value
// stays within one of its coarsest units of the true one (half of it, and half of each finer one
// before: 1/2 + 1/4 + ...).
struct FixedPoint {
  std::vector<float> low;   // [dim]
  std::vector<float> step;  // [dim], not negative
  std::vector<float> unit;  // [dim], not negative

  std::size_t dim() const { return low.size(); }
  std::size_t memory_bytes() const { return 3 * low.size() * sizeof(float); }
  // The least and the largest value of a dimension.
  float least(std::size_t i) const { return low[i]; }
  float most(std::size_t i) const { return end_of(255, i); }

  // The least and the largest value of a dimension that has this upper byte.
  float start_of(std::uint8_t high, std::size_t i) const { return low[i] + step[i] * high; }
  float end_of(std::uint8_t high, std::size_t i) const {
    return low[i] + (step[i] * (high + 1.0F) - unit[i]);
  }

  // The first dimension whose numbers, read from a file, are no range; none if all are.
  std::optional<std::size_t> defect() const;
  bool covers(std::span<const float> vector) const;
  // `vector` [dim]. What is not covered becomes the nearest that is.
  void encode(std::span<const float> vector, std::uint8_t* high, std::uint8_t* low_bytes) const;
};

// The least and the largest upper byte of each dimension, [dim], of all vectors in an encoding; of
// no vector empty.
struct ByteExtremes {
  std::vector<std::uint8_t> least;
  std::vector<std::uint8_t> most;
};

// Ranges that cover `rows`, those that are not zero of `known` (no dimensions: there are none yet),
// and some room for what is to come, around what there is: `extremes` of `known`. Since all vectors
// are encoded anew for it, every dimension gets its room again, not only those that `rows` exceed:
// the next outlier is likely one of another dimension.
FixedPoint covering(const FixedPoint& known, const ByteExtremes& extremes,
                    std::span<const std::span<const float>> rows, std::size_t dim);

// `known`, with smaller steps where `extremes`, and some room, allow it.
FixedPoint narrowed(const FixedPoint& known, const ByteExtremes& extremes);

// How long the errors of distances in the upper bytes are under `a` in proportion to those under
// `b`: those of a dimension are proportional to its step, and independent of each other. 1 if all
// steps of `b` are zero.
double relative_error(const FixedPoint& a, const FixedPoint& b);

}  // namespace vsearch::index

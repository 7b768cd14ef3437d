// Vectors in two bits a dimension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "index/arena.h"
#include "index/kernels.h"
#include "index/rotation.h"
#include "vsearch/types.h"

namespace vsearch::index {

// What Storage::kCompact compares in a walk: after RaBitQ (Gao and Long, arXiv 2405.12497) in its
// form for several bits (Gao et al., arXiv 2409.09913). A vector less a centre is rotated, which
// makes its components nearly normally distributed; each is rounded to one of four numbers, -3/2,
// -1/2, 1/2 and 3/2 times a step that is the vector's own; and one float a vector makes the
// estimate of an inner product with it unbiased: <r, q> is about <y, q> |r|^2 / <y, r> for the
// rounded y of r. The step is the best one for normally distributed numbers (Max, "Quantizing for
// minimum distortion", 1960); to look for the best one of each vector, as the paper does, gained
// nothing (recall of the 40 nearest by code .994 for 100,000 x 384 patch tokens either way).
//
// A record: the codes, packed as Kernels::packed_products reads them; the factor |r|^2 / <y, r>;
// under L2 |r|^2.
//
// Threads: any.
class CompactCodes {
 public:
  struct Query {
    std::vector<std::int8_t> weights;  // [width]
    std::vector<std::int32_t> products;
    std::vector<float> rotated;  // [dim]
    std::vector<float> scratch;  // [dim]
    float base = 0;
    float slope = 0;
    float shift = 0;
  };

  CompactCodes(const Kernels& kernels, std::size_t dim, Metric metric);

  std::size_t record_bytes() const { return record_bytes_; }
  // `centre`: [dim], the same for all vectors and queries. `rotated` and `scratch`: [dim] each,
  // overwritten.
  void encode(std::span<const float> vector, std::span<const float> centre, std::byte* record,
              std::span<float> rotated, std::span<float> scratch) const noexcept;
  // Throws std::bad_alloc.
  void prepare(std::span<const float> vector, std::span<const float> centre, Query& query) const;
  // Whether a record that was read from a file gives distances that are numbers.
  bool is_sound(const std::byte* record) const noexcept;
  // Estimates of the distances to slots of `records`.
  void near(Query& query, const Arena& records, std::span<const Slot> slots,
            float* distances) const;

 private:
  // What a record holds behind its codes.
  struct Factors {
    float factor;
    float squared_length;  // under L2 only
  };
  Factors factors_of(const std::byte* record) const noexcept;

  const Kernels& kernels_;
  std::size_t dim_;
  std::size_t width_;  // dim_, padded
  std::size_t record_bytes_;
  Metric metric_;
  Rotation rotation_;
};

}  // namespace vsearch::index

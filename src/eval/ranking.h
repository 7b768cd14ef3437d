// Where the right answers to a query stand among all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vsearch/types.h"

namespace vsearch::eval {

struct Ranking {
  std::vector<std::uint32_t> right_ranks;  // of all right answers, from 1, ascending
  std::vector<Neighbor> nearest;           // the first of all; the distance is the cosine, negated
  // Cosines; NaN where there is none.
  float nearest_right = 0.0F;
  float nearest_wrong = 0.0F;
};

// Ranks one query after the other. Of equal cosines the row that comes first is nearer.
// Threads: one at a time.
class Ranker {
 public:
  // `kept`: how many of the nearest a ranking lists.
  Ranker(std::size_t gallery, std::size_t kept);

  // `cosines`: of every row of the gallery, and changed. `right` ascends; none of it is `removed`,
  // which takes no part. The result is valid until the next call.
  const Ranking& rank(std::span<float> cosines, std::span<const std::uint32_t> right,
                      std::span<const std::uint32_t> removed);

 private:
  void find_nearest(std::span<const float> cosines);
  void count_nearer(std::span<const float> cosines, std::span<const std::uint32_t> right);
  void place_all(std::span<const float> cosines, std::span<const std::uint32_t> right);
  float find_wrong(std::span<float> cosines, std::span<const std::uint32_t> right);

  std::size_t kept_;
  Ranking ranking_;
  std::vector<std::uint8_t> is_right_;  // [gallery], all 0 between calls
  std::vector<float> right_cosines_;
  // Of place_all().
  std::vector<std::uint64_t> right_entries_;  // see entry(), ascending
  std::vector<std::uint32_t> first_;          // [bins + 2]
  std::vector<std::uint32_t> placed_;         // [right answers + 1]
};

}  // namespace vsearch::eval

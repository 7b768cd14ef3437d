// Vectors for tests of the index: random, but the same on every machine and in every run.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "vsearch/index.h"

namespace vsearch_test {

// splitmix64; the standard's distributions differ between libraries.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits() % n); }
  float normal() {  // about standard normal: the sum of twelve uniform numbers
    float sum = -6.0F;
    for (int i = 0; i < 12; ++i) sum += static_cast<float>(bits() >> 40) / 16777216.0F;
    return sum;
  }

 private:
  std::uint64_t state_;
};

// Draws vectors around centres of its own, as embeddings of products lie around their categories.
class Clusters {
 public:
  Clusters(std::uint64_t seed, std::size_t dim, std::size_t count = 50, float spread = 0.6F)
      : random_(seed), spread_(spread), centres_(count, dim) {
    for (float& value : centres_.data) value = random_.normal();
  }

  vsearch::Matrix draw(std::size_t rows) {
    vsearch::Matrix result(rows, centres_.cols);
    for (std::size_t row = 0; row < rows; ++row) {
      const std::span<const float> centre = centres_.row(random_.below(centres_.rows));
      for (std::size_t i = 0; i < centre.size(); ++i) {
        result.row(row)[i] = centre[i] + spread_ * random_.normal();
      }
    }
    return result;
  }

 private:
  Random random_;
  float spread_;
  vsearch::Matrix centres_;
};

inline double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return ab / std::sqrt(aa * bb);
}

// first, first + 1, ...
inline std::vector<vsearch::Id> ids_from(vsearch::Id first, std::size_t count) {
  std::vector<vsearch::Id> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

// Which share of the true k nearest neighbours of `queries` a search finds.
inline double recall(const vsearch::Index& index, vsearch::MatrixView queries,
                     const vsearch::SearchOptions& options) {
  vsearch::SearchOptions exactly = options;
  exactly.exact = true;
  std::size_t found = 0;
  std::size_t wanted = 0;
  for (std::size_t row = 0; row < queries.rows; ++row) {
    const auto truth = index.search(queries.row(row), exactly);
    const auto result = index.search(queries.row(row), options);
    wanted += truth.size();
    for (const vsearch::Neighbor& neighbour : truth) {
      for (const vsearch::Neighbor& hit : result) found += hit.id == neighbour.id ? 1 : 0;
    }
  }
  return static_cast<double>(found) / static_cast<double>(wanted);
}

}  // namespace vsearch_test

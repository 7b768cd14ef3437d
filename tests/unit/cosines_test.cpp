// Cosines by tiles, and ranks where they are equal.
#include "eval/cosines.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "eval/ranking.h"
#include "index/products.h"
#include "support/vectors.h"

using vsearch::Matrix;
using vsearch_test::cosine;
using Rows = std::vector<std::uint32_t>;

TEST_CASE("cosines do not depend on tiles, nor on what is computed beside them") {
  vsearch_test::Clusters clusters(8, 130);
  const Matrix queries = clusters.draw(70);
  const Matrix gallery = clusters.draw(101);
  const vsearch::eval::UnitRows unit_queries(queries.view(), "queries");
  const vsearch::eval::UnitRows unit_gallery(gallery.view(), "gallery");
  for (const vsearch::index::Products& products : vsearch::index::products()) {
    CAPTURE(products.name);
    std::vector<std::vector<float>> results;
    for (const std::size_t tile_bytes : {1UL, 20'000UL, 1'000'000UL}) {
      for (const std::size_t depth : {std::size_t{17}, std::size_t{512}}) {
        const vsearch::eval::Cosines cosines(
            unit_queries, unit_gallery,
            {.products = &products, .tile_bytes = tile_bytes, .depth = depth});
        const std::size_t together = results.size() % 2 == 0 ? 70 : 9;
        std::vector<float>& result = results.emplace_back(70 * 101);
        vsearch::eval::Cosines::Scratch scratch;
        for (std::size_t first = 0; first < 70; first += together) {
          const std::size_t count = std::min(together, 70 - first);
          cosines.compute(first, count, scratch, std::span(result).subspan(first * 101));
        }
      }
    }
    for (const auto& result : results) CHECK(result == results[0]);
    double most = 0;
    for (std::size_t q = 0; q < 70; ++q) {
      for (std::size_t g = 0; g < 101; ++g) {
        most = std::max(most, std::fabs(static_cast<double>(results[0][q * 101 + g]) -
                                        cosine(queries.row(q), gallery.row(g))));
      }
    }
    CHECK(most < 1e-6);
  }
}

TEST_CASE("cosines that are equal but for the sign of zero are equal") {
  std::vector<float> cosines(100);
  Rows right;
  for (std::uint32_t row = 0; row < 100; ++row) {
    cosines[row] = row % 2 == 0 ? -0.0F : 0.0F;
    if (row % 3 == 0) right.push_back(row);
  }
  for (const std::size_t count : {std::size_t{5}, right.size()}) {
    vsearch::eval::Ranker ranker(100, 1);
    const std::span<const std::uint32_t> some(right.data(), count);
    std::vector<float> changed = cosines;
    const auto& ranks = ranker.rank(changed, some, {}).right_ranks;
    REQUIRE(ranks.size() == count);
    for (std::size_t i = 0; i < count; ++i) CHECK(ranks[i] == right[i] + 1);
  }
}

TEST_CASE("many right answers stand where sorting puts them, however cosines lie") {
  constexpr std::uint32_t kRows = 3000;
  const auto removed_every = GENERATE(0U, 7U);
  const auto shape = GENERATE(0, 1, 2, 3);
  CAPTURE(removed_every, shape);
  vsearch_test::Random random(shape);
  std::vector<float> cosines(kRows);
  for (float& cosine : cosines) {
    switch (shape) {
      case 0:
        cosine = 0.3F * random.normal();
        break;  // as of an encoder
      case 1:
        cosine = std::round(random.normal()) / 4;
        break;  // many are equal
      case 2:
        cosine = 0.5F;
        break;  // all are
      default:
        cosine = 0.9F + 6e-8F * std::round(4 * random.normal());  // as good as equal
    }
  }
  if (shape == 3) cosines[1] = -1;  // a right one far from all others: one bin holds the rest
  Rows right, removed;
  for (std::uint32_t row = 0; row < kRows; ++row) {
    if (row % 3 == 1)
      right.push_back(row);
    else if (removed_every > 0 && row % removed_every == 0)
      removed.push_back(row);
  }
  std::vector<std::uint32_t> order;
  for (std::uint32_t row = 0; row < kRows; ++row) {
    if (!std::ranges::binary_search(removed, row)) order.push_back(row);
  }
  std::ranges::stable_sort(order, [&](auto a, auto b) { return cosines[a] > cosines[b]; });
  std::vector<std::uint32_t> expected;
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    if (order[i] % 3 == 1) expected.push_back(i + 1);
  }
  vsearch::eval::Ranker ranker(kRows, 10);
  for (int again = 0; again < 2; ++again) {
    std::vector<float> changed = cosines;
    CHECK(ranker.rank(changed, right, removed).right_ranks == expected);
  }
}

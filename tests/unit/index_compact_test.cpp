// Two bits a dimension: the rotation, the codes, and searches by them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "index/compact_codes.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Metric;
using vsearch::SearchOptions;
using vsearch::Storage;
using vsearch::index::Arena;
using vsearch::index::CompactCodes;
using vsearch::index::kernels;
using vsearch::index::Rotation;
using vsearch::index::Slot;
using vsearch_test::Clusters;
using vsearch_test::ids_from;

namespace {

double product(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace

TEST_CASE("a rotation keeps lengths and inner products, with every kernel") {
  for (const std::size_t dim : {1, 2, 3, 7, 64, 96, 100, 384, 784}) {
    const Rotation rotation(dim);
    const Matrix given = Clusters(1, dim).draw(2);
    for (const auto& kernel : kernels()) {
      INFO(kernel.name << " at " << dim);
      Matrix rotated = given;
      std::vector<float> scratch(dim);
      for (std::size_t row = 0; row < 2; ++row) {
        rotation.apply(kernel, rotated.data.data() + row * dim, scratch.data());
        CHECK(product(rotated.row(row), rotated.row(row)) ==
              Approx(product(given.row(row), given.row(row))).epsilon(1e-5));
      }
      const double scale = std::sqrt(product(given.row(0), given.row(0))) *
                           std::sqrt(product(given.row(1), given.row(1)));
      CHECK(product(rotated.row(0), rotated.row(1)) ==
            Approx(product(given.row(0), given.row(1))).margin(1e-5 * scale));
    }
  }
}

TEST_CASE("a rotation spreads one dimension over all") {
  for (const std::size_t dim : {64, 100, 384, 784}) {
    const Rotation rotation(dim);
    double largest = 0;
    for (std::size_t axis = 0; axis < dim; axis += 7) {
      std::vector<float> vector(dim);
      std::vector<float> scratch(dim);
      vector[axis] = 1;
      rotation.apply(kernels().front(), vector.data(), scratch.data());
      for (const float value : vector) largest = std::max<double>(largest, std::abs(value));
    }
    INFO(dim);
    // Of so many normally distributed numbers hardly one is farther out.
    CHECK(largest <= 5.5 / std::sqrt(static_cast<double>(dim)));
  }
}

TEST_CASE("codes of two bits estimate distances without bias, and as well as their paper says") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kInnerProduct, Metric::kL2);
  const std::size_t dim = GENERATE(96, 384, 1000);
  constexpr std::size_t kCount = 400;
  Clusters clusters(2, dim, 400);  // far from each other, so that the spread says much
  const Matrix rows = clusters.draw(kCount);
  const Matrix queries = clusters.draw(5);
  std::vector<float> centre(dim, 0.1F);
  const CompactCodes codes(kernels().front(), dim, metric);
  CHECK(codes.record_bytes() <= (dim + 63) / 64 * 16 + 8);
  Arena records(codes.record_bytes());
  records.reserve(kCount);
  std::vector<float> scratch(2 * dim);
  std::vector<Slot> slots;
  for (Slot slot = 0; slot < kCount; ++slot) {
    codes.encode(rows.row(slot), centre, records.at(slot), std::span(scratch).first(dim),
                 std::span(scratch).last(dim));
    slots.push_back(slot);
  }
  double sum = 0;
  double squares = 0;
  CompactCodes::Query query;
  std::vector<float> distances(kCount);
  for (std::size_t number = 0; number < queries.rows; ++number) {
    const std::span<const float> q = queries.row(number);
    codes.prepare(q, centre, query);
    codes.near(query, records, slots, distances.data());
    for (const Slot slot : slots) {
      const std::span<const float> x = rows.row(slot);
      const double dot = product(q, x);
      const double expected =
          metric == Metric::kL2 ? product(q, q) + product(x, x) - 2 * dot : 1 - dot;
      const double scale = std::sqrt(product(q, q) * product(x, x)) *
                           (metric == Metric::kL2 ? 2 : 1) / std::sqrt(static_cast<double>(dim));
      const double error = (distances[slot] - expected) / scale;
      sum += error;
      squares += error * error;
    }
  }
  const auto count = static_cast<double>(kCount * queries.rows);
  // Rounding to four numbers leaves .1175 of the variance (Max, 1960).
  CHECK(std::sqrt(squares / count) < 0.42);
  CHECK(std::abs(sum / count) < 0.05);
}

TEST_CASE("searches by two bits reach high recall with breadth") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kL2);
  IndexOptions options;
  options.dim = 64;
  options.metric = metric;
  options.storage = Storage::kCompact;
  Index index(options);
  Clusters clusters(3, 64);
  index.add(clusters.draw(5000).view(), ids_from(0, 5000));
  const Matrix queries = clusters.draw(50);
  SearchOptions search;
  search.breadth = 100;
  const double some = vsearch_test::recall(index, queries.view(), search);
  search.breadth = 300;
  const double more = vsearch_test::recall(index, queries.view(), search);
  CHECK(some >= 0.9);
  CHECK(more >= 0.99);
  // What is given out are the distances of kInt8, not the estimates.
  options.storage = Storage::kInt8;
  Index full(options);
  const Matrix rows = clusters.draw(500);
  full.add(rows.view(), ids_from(0, 500));
  options.storage = Storage::kCompact;
  Index compact(options);
  compact.add(rows.view(), ids_from(0, 500));
  const auto expected = full.search(queries.row(0), search);
  const auto found = compact.search(queries.row(0), search);
  CHECK(found == expected);
}

TEST_CASE("what walks read of a compact index is at most 350 bytes a vector at 384 dimensions") {
  for (const Metric metric : {Metric::kCosine, Metric::kL2}) {
    IndexOptions options;
    options.dim = 384;
    options.metric = metric;
    options.storage = Storage::kCompact;
    Index index(options);
    constexpr std::size_t kCount = 2000;
    index.add(Clusters(4, 384).draw(kCount).view(), ids_from(0, kCount));
    const double all = static_cast<double>(index.stats().memory_bytes) / kCount;
    const double cold = 2 * 384 + (metric == Metric::kL2 ? 4 : 0);
    CHECK(all - cold <= 350);
  }
}

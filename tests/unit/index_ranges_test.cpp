// How the ranges of fixed point follow the vectors.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "index/fixed_point.h"
#include "index/kernels.h"
#include "index/vector_store.h"
#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using vsearch::Id;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Metric;
using vsearch::Storage;
using vsearch::index::FixedPoint;
using vsearch_test::Clusters;
using vsearch_test::ids_from;
using vsearch_test::Random;
using vsearch_test::TempDir;

namespace {

constexpr std::size_t kDim = 16;

std::vector<float> decoded(const FixedPoint& numbers, const std::vector<std::uint8_t>& high,
                           const std::vector<std::uint8_t>& low) {
  std::vector<float> vector(numbers.dim());
  vsearch::index::kernels().front().decode(high.data(), low.data(), numbers.low.data(),
                                           numbers.step.data(), numbers.unit.data(), numbers.dim(),
                                           vector.data());
  return vector;
}

}  // namespace

TEST_CASE("a vector that is encoded anew for years stays within one of its coarsest units") {
  Random random(1);
  const float offset = GENERATE(0.0F, 3.0F, -500.0F);
  std::vector<float> vector(kDim);
  for (float& value : vector) value = offset + random.normal();
  const std::span<const float> itself(vector);
  FixedPoint numbers = vsearch::index::covering({}, {}, {&itself, 1}, kDim);
  std::vector<float> coarsest = numbers.unit;
  std::vector<std::uint8_t> high(kDim);
  std::vector<std::uint8_t> low(kDim);
  numbers.encode(vector, high.data(), low.data());
  int grown = 0;
  int shrunk = 0;
  for (int turn = 0; turn < 5000; ++turn) {
    const std::vector<float> present = decoded(numbers, high, low);
    FixedPoint next;
    if (random.below(2) == 0) {
      // Others come, some of them far away.
      std::vector<float> other(kDim);
      const float spread = std::exp2(static_cast<float>(random.below(6)));
      for (float& value : other) value = offset + spread * random.normal();
      const std::span<const float> row(other);
      next = vsearch::index::covering(numbers, {high, high}, {&row, 1}, kDim);
      REQUIRE(next.covers(other));
      ++grown;
    } else {
      // They are gone; some neighbours remain.
      std::vector<std::uint8_t> least = high;
      std::vector<std::uint8_t> most = high;
      for (std::size_t i = 0; i < kDim; ++i) {
        least[i] =
            static_cast<std::uint8_t>(least[i] - std::min<std::size_t>(least[i], random.below(20)));
        most[i] = static_cast<std::uint8_t>(most[i] +
                                            std::min<std::size_t>(255 - most[i], random.below(20)));
      }
      next = vsearch::index::narrowed(numbers, {least, most});
      ++shrunk;
    }
    REQUIRE(next.covers(present));
    next.encode(present, high.data(), low.data());
    numbers = next;
    for (std::size_t i = 0; i < kDim; ++i) coarsest[i] = std::max(coarsest[i], numbers.unit[i]);
  }
  REQUIRE(grown > 1000);
  REQUIRE(shrunk > 1000);
  const std::vector<float> last = decoded(numbers, high, low);
  for (std::size_t i = 0; i < kDim; ++i) {
    CHECK(std::abs(last[i] - vector[i]) <= coarsest[i]);
    CHECK(coarsest[i] < 0.02F);  // what the largest spread takes
  }
}

TEST_CASE("ranges shrink to what is there, and only if that is less") {
  FixedPoint wide;
  wide.low = {-128, 0, 5};
  wide.step = {1, 1, 0};
  wide.unit = {1.0F / 256, 1.0F / 256, 0};
  const std::vector<std::uint8_t> least{120, 10, 0};
  const std::vector<std::uint8_t> most{135, 240, 0};
  const FixedPoint narrow = vsearch::index::narrowed(wide, {least, most});
  CHECK(narrow.step[0] < 0.1F);
  CHECK(narrow.least(0) <= -8);
  CHECK(narrow.most(0) >= 8 - wide.unit[0]);
  CHECK(narrow.step[1] == 1);
  CHECK(narrow.low[1] == 0);
  CHECK(narrow.step[2] == 0);
  CHECK(vsearch::index::relative_error(wide, wide) == 1.0);
  CHECK(vsearch::index::relative_error(narrow, wide) == Approx(std::sqrt(0.5)).epsilon(0.01));
}

TEST_CASE("an outlier of one dimension makes room in all") {
  const std::vector<std::vector<float>> first{{-1, -1}, {1, 1}};
  const std::vector<std::span<const float>> rows(first.begin(), first.end());
  const FixedPoint known = vsearch::index::covering({}, {}, rows, 2);
  // Meanwhile the second dimension has come to the end of its range.
  const std::vector<float> outlier{3, 0};
  const std::span<const float> row(outlier);
  const FixedPoint next = vsearch::index::covering(known, {{0, 0}, {255, 255}}, {&row, 1}, 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(next.least(i) < known.least(i) - 0.1F);
    CHECK(next.most(i) > known.most(i) + 0.1F);
  }
  // Where there is room it stays.
  const FixedPoint same = vsearch::index::covering(known, {{0, 120}, {255, 130}}, {&row, 1}, 2);
  CHECK(same.low[1] == known.low[1]);
  CHECK(same.step[1] == known.step[1]);
}

TEST_CASE("vectors that come in small batches are seldom encoded anew") {
  // Some 80 times, if only the dimension of an outlier got room.
  constexpr std::size_t kWide = 96;
  Random random(5);
  vsearch::index::VectorStore store(kWide, Metric::kL2, Storage::kInt8);
  store.reserve(20'000);
  int encodings = 0;
  std::vector<float> vector(kWide);
  for (vsearch::index::Slot slot = 0; slot < 20'000; ++slot) {
    for (float& value : vector) value = random.normal();
    const std::span<const float> row(vector);
    if (!store.covers({&row, 1})) {
      auto encoding = store.encoding_for({&row, 1}, slot);
      store.commit(encoding);
      if (slot >= 1000) ++encodings;
    }
    store.write(slot, vector);
  }
  CHECK(encodings <= 30);
}

TEST_CASE("after a turnover the encoding is as fine as that of a new index") {
  const auto storage = GENERATE(Storage::kInt8, Storage::kCompact);
  constexpr std::size_t kCount = 1500;
  IndexOptions options;
  options.dim = kDim;
  options.metric = Metric::kL2;
  options.storage = storage;
  Index index(options);
  Matrix far = Clusters(2, kDim).draw(kCount);
  for (float& value : far.data) value = 300 * value + 2000;
  index.add(far.view(), ids_from(0, kCount));
  Clusters clusters(3, kDim);
  const Matrix near = clusters.draw(kCount);
  // The new ones come while the old ones go.
  constexpr std::size_t kPart = 100;
  for (std::size_t begin = 0; begin < kCount; begin += kPart) {
    index.add({near.row(begin).data(), kPart, kDim}, ids_from(kCount + begin, kPart));
    index.remove(ids_from(begin, kPart));
  }
  // As many changes again, and the last look finds nothing but the new ones.
  index.add(near.view(), ids_from(kCount, kCount));
  index.add(near.view(), ids_from(kCount, kCount));
  Index fresh(options);
  fresh.add(near.view(), ids_from(kCount, kCount));
  const Matrix queries = clusters.draw(100);
  vsearch::SearchOptions search;
  search.breadth = 40;
  const double expected = vsearch_test::recall(fresh, queries.view(), search);
  CHECK(vsearch_test::recall(index, queries.view(), search) >= expected - 0.03);
  double error = 0;
  for (std::size_t row = 0; row < kCount; ++row) {
    const std::vector<float> stored = index.vector(kCount + row);
    for (std::size_t i = 0; i < kDim; ++i) {
      error = std::max<double>(error, std::abs(stored[i] - near.row(row)[i]));
    }
  }
  CHECK(error < 1e-3);  // the first ones' range was some 3000
}

TEST_CASE("a snapshot opens though ranges have left removed vectors behind") {
  Random random(3);
  IndexOptions options;
  options.dim = kDim;
  options.metric = Metric::kCosine;
  options.storage = GENERATE(Storage::kInt8, Storage::kCompact);
  Index index(options);
  // All point in about one direction, but for the first few, one along each axis.
  constexpr std::size_t kAll = 1500;
  Matrix rows(kAll, kDim);
  for (std::size_t row = 0; row < kAll; ++row) {
    for (float& value : rows.row(row)) {
      value = row < kDim ? 0.0F : 1.0F + 0.05F * random.normal();
    }
    if (row < kDim) rows.row(row)[row] = row % 2 == 0 ? 1.0F : -1.0F;
  }
  index.add(rows.view(), ids_from(0, kAll));
  // The ranges are looked at again when there were as many changes as there are vectors.
  for (std::size_t row = kDim; row < kAll - 100; row += 100) {
    index.add({rows.row(row).data(), 100, kDim}, ids_from(row, 100));
  }
  index.add({rows.row(kDim).data(), 80, kDim}, ids_from(kDim, 80));
  index.remove(ids_from(0, kDim));
  REQUIRE(index.stats().removed > 0);
  TempDir dir;
  index.save(dir / "snapshot");
  const Index opened = Index::load(dir / "snapshot");
  CHECK(opened.size() == kAll - kDim);
  const std::span<const float> query = rows.row(kAll / 2);
  CHECK(opened.search(query, {.k = 3}) == index.search(query, {.k = 3}));
}

TEST_CASE("numbers that are no range are found") {
  FixedPoint numbers;
  numbers.low = {0, -3, 1};
  numbers.step = {1, 0, 256};
  numbers.unit = {0.5, 0, 1};
  CHECK_FALSE(numbers.defect());
  const float bad = GENERATE(-1.0F, 257.0F, NAN, INFINITY);
  numbers.step[2] = bad;
  CHECK(numbers.defect() == 2);
  numbers.step[1] = 1;  // a step without a unit
  CHECK(numbers.defect() == 1);
  numbers.low[0] = bad < 0 ? NAN : INFINITY;
  CHECK(numbers.defect() == 0);
}

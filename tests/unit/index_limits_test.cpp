// What an index is asked for at the ends of the ranges: numbers, lengths, ids, k, and data in which
// a graph finds no direction.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cfloat>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/errors.h"
#include "support/sanitized.h"
#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::Id;
using vsearch::IdFilter;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Metric;
using vsearch::Neighbor;
using vsearch::SearchOptions;
using vsearch::Storage;
using vsearch_test::Clusters;
using vsearch_test::error_message;
using vsearch_test::ids_from;
using vsearch_test::Random;

namespace {

constexpr std::uint32_t kMostU32 = std::numeric_limits<std::uint32_t>::max();

Index make(std::uint32_t dim, Metric metric = Metric::kCosine, Storage storage = Storage::kInt8) {
  IndexOptions options;
  options.dim = dim;
  options.metric = metric;
  options.storage = storage;
  return Index(options);
}

// Whether `hits` are as many as `count`, nearest first, finite, and no id stands twice.
bool in_order(const std::vector<Neighbor>& hits, std::size_t count) {
  std::set<Id> seen;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    if (!std::isfinite(hits[i].distance) || !seen.insert(hits[i].id).second) return false;
    if (i > 0 && hits[i].distance < hits[i - 1].distance) return false;
  }
  return hits.size() == count;
}

bool in_order_however_searched(const Index& index, std::span<const float> query, std::uint32_t k) {
  const IdFilter all(index.ids());
  bool good = true;
  for (const bool exact : {false, true}) {
    for (const IdFilter* const filter : {static_cast<const IdFilter*>(nullptr), &all}) {
      SearchOptions options;
      options.k = k;
      options.exact = exact;
      options.filter = filter;
      good = good && in_order(index.search(query, options), std::min<std::size_t>(k, index.size()));
    }
  }
  return good;
}

}  // namespace

TEST_CASE("the longest vectors allowed have finite distances, wherever they point") {
  const auto metric = GENERATE(Metric::kInnerProduct, Metric::kL2);
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  const std::uint32_t dim = GENERATE(1U, 3U, 256U);
  CAPTURE(static_cast<int>(metric), static_cast<int>(storage), dim);
  constexpr float kLongest = 0.99e17F;
  // Some along an axis, so that each range reaches as far, and some between all axes: their
  // products with the ends of all ranges are far larger than those with any vector.
  Matrix rows(780, dim);
  for (std::size_t row = 0; row < rows.rows; ++row) {
    const std::span<float> vector = rows.row(row);
    const float sign = row % 2 == 0 ? 1.0F : -1.0F;
    if (row % 3 == 0) {
      vector[row / 3 % dim] = -kLongest;
    } else if (row % 3 == 1) {
      std::fill(vector.begin(), vector.end(), sign * kLongest / std::sqrt(static_cast<float>(dim)));
    } else {
      vector[row / 3 % dim] = sign;
    }
  }
  Index index = make(dim, metric, storage);
  // Some at a time, so that the ranges grow.
  for (std::size_t row = 0; row < rows.rows; row += 60) {
    index.add({rows.row(row).data(), 60, dim}, ids_from(row, 60));
  }
  for (std::size_t row = 0; row < rows.rows; row += 5) {
    REQUIRE(in_order_however_searched(index, rows.row(row), 20));
    for (const float value : index.vector(row)) REQUIRE(std::isfinite(value));
  }
}

TEST_CASE("what rounding made longer than is allowed opens again") {
  const auto metric = GENERATE(Metric::kInnerProduct, Metric::kL2);
  Index index = make(1, metric, Storage::kBFloat16);
  const std::vector<float> longest{9.995e16F, -9.995e16F};
  index.add({longest.data(), 2, 1}, ids_from(0, 2));
  const vsearch_test::TempDir dir;
  index.save(dir / "long.index");
  CHECK(Index::load(dir / "long.index").vector(1) == index.vector(1));
}

TEST_CASE("a vector that is too long is refused whatever the storage") {
  const auto metric = GENERATE(Metric::kInnerProduct, Metric::kL2);
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  Index index = make(2, metric, storage);
  const std::vector<float> vector{1.1e17F, 0};
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] {
                             index.add({vector.data(), 1, 2}, std::vector<Id>{3});
                           }),
             Contains("row 0 (id 3)") && Contains("longer"));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { index.search(vector); }),
             Contains("longer"));
  CHECK(index.size() == 0);
}

TEST_CASE("the smallest numbers are numbers like others") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kInnerProduct, Metric::kL2);
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  const float scale = GENERATE(1e-20F, FLT_MIN, 3e-44F);  // the last is a denormal number
  CAPTURE(static_cast<int>(metric), static_cast<int>(storage), scale);
  constexpr std::size_t kDim = 20;
  Matrix rows = Clusters(71, kDim).draw(300);
  for (float& value : rows.data) value *= scale;
  Index index = make(kDim, metric, storage);
  const std::vector<float> nothing(kDim);
  if (metric != Metric::kCosine) index.add({nothing.data(), 1, kDim}, std::vector<Id>{300});
  for (std::size_t row = 0; row < rows.rows; row += 100) {
    index.add({rows.row(row).data(), 100, kDim}, ids_from(row, 100));
  }
  std::size_t found_itself = 0;
  for (std::size_t row = 0; row < rows.rows; ++row) {
    REQUIRE(in_order_however_searched(index, rows.row(row), 20));
    found_itself += index.search(rows.row(row))[0].id == row ? 1 : 0;
    const std::vector<float> stored = index.vector(row);
    if (metric == Metric::kCosine) continue;  // of unit length
    for (std::size_t i = 0; i < kDim; ++i) {
      REQUIRE(std::abs(stored[i] - rows.row(row)[i]) <= 1e-3F * scale + FLT_MIN);
    }
  }
  // Squares of such numbers are nothing in float32; directions are as good as ever.
  if (metric == Metric::kCosine && scale >= FLT_MIN) CHECK(found_itself == rows.rows);
}

TEST_CASE("lengths may differ by ten orders of magnitude") {
  const auto metric = GENERATE(Metric::kInnerProduct, Metric::kL2);
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  CAPTURE(static_cast<int>(metric), static_cast<int>(storage));
  constexpr std::size_t kDim = 24;
  Matrix rows = Clusters(72, kDim).draw(600);
  for (std::size_t row = 0; row < rows.rows; ++row) {
    const auto scale = static_cast<float>(std::pow(10.0, static_cast<double>(row % 11) - 5));
    for (float& value : rows.row(row)) value *= scale;
  }
  Index index = make(kDim, metric, storage);
  for (std::size_t row = 0; row < rows.rows; row += 50) {
    index.add({rows.row(row).data(), 50, kDim}, ids_from(row, 50));
  }
  double largest = 0;
  for (const float value : rows.data) largest = std::max(largest, std::abs(double{value}));
  for (std::size_t row = 0; row < rows.rows; ++row) {
    REQUIRE(in_order_however_searched(index, rows.row(row), 20));
    const std::vector<float> stored = index.vector(row);
    for (std::size_t i = 0; i < kDim; ++i) {
      const double lost = std::abs(double{stored[i]} - rows.row(row)[i]);
      REQUIRE(lost <= (storage == Storage::kFloat32 ? 0.0 : 3e-5 * 2 * largest));
    }
  }
  if (metric == Metric::kL2 && storage == Storage::kFloat32) {
    for (std::size_t row = 0; row < rows.rows; ++row) {
      REQUIRE(index.search(rows.row(row))[0].id == row);
    }
  }
}

TEST_CASE("one dimension, and as many as there may be") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kInnerProduct, Metric::kL2);
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  CAPTURE(static_cast<int>(metric), static_cast<int>(storage));
  SECTION("1") {
    Matrix rows(500, 1);
    for (std::size_t row = 0; row < rows.rows; ++row) {
      rows.row(row)[0] = (row % 2 == 0 ? 1.0F : -1.0F) * static_cast<float>(row + 1);
    }
    Index index = make(1, metric, storage);
    index.add(rows.view(), ids_from(0, 500));
    for (std::size_t row = 0; row < rows.rows; row += 7) {
      REQUIRE(in_order_however_searched(index, rows.row(row), 30));
    }
    if (metric == Metric::kL2) CHECK(index.search(rows.row(9))[0].id == 9);
    if (metric == Metric::kInnerProduct) CHECK(index.search(rows.row(8))[0].id == 498);
  }
  SECTION("65,536") {
    constexpr std::size_t kDim = 65536;
    const Matrix rows = Clusters(73, kDim, 3, 0.2F).draw(12);
    Index index = make(kDim, metric, storage);
    index.add(rows.view(), ids_from(0, 12));
    for (std::size_t row = 0; row < rows.rows; ++row) {
      REQUIRE(in_order_however_searched(index, rows.row(row), 12));
      if (metric != Metric::kInnerProduct) CHECK(index.search(rows.row(row))[0].id == row);
    }
    const std::vector<float> too_many(kDim + 1, 1.0F);
    CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { index.search(too_many); }),
               Contains("65537 dimensions") && Contains("has 65536"));
  }
}

TEST_CASE("k and breadth may be as large as a number can be") {
  Clusters clusters(74, 12);
  Index index = make(12);
  const Matrix queries = clusters.draw(3);
  SearchOptions options;
  const bool large_k = GENERATE(true, false);
  (large_k ? options.k : options.breadth) = kMostU32;
  options.exact = GENERATE(false, true);
  if (large_k && !options.exact) options.recall = GENERATE(0.0, 0.9);
  CHECK(index.search(queries.row(0), options).empty());
  CHECK(index.search_batch(queries.view(), options) == std::vector<std::vector<Neighbor>>(3));
  index.add(clusters.draw(3000).view(), ids_from(0, 3000));
  index.remove(ids_from(0, 200));
  const IdFilter some(ids_from(100, 1000));
  const IdFilter none(ids_from(5000, 1000));
  for (const IdFilter* const filter : {static_cast<const IdFilter*>(nullptr), &some, &none}) {
    options.filter = filter;
    const std::size_t matching = filter == nullptr ? 2800 : filter == &some ? 900 : 0;
    const std::size_t count = std::min<std::size_t>(options.k, matching);
    CHECK(in_order(index.search(queries.row(0), options), count));
    for (const auto& hits : index.search_batch(queries.view(), options)) {
      CHECK(in_order(hits, count));
    }
  }
}

TEST_CASE("threads may be as many as a number can be") {
  IndexOptions made_with;
  made_with.dim = 8;
  made_with.threads = kMostU32;
  Index index(made_with);
  Clusters clusters(75, 8);
  index.add(clusters.draw(3).view(), ids_from(0, 3));  // no more of them than vectors
  SearchOptions options;
  options.threads = kMostU32;
  for (const auto& hits : index.search_batch(clusters.draw(2).view(), options)) {
    CHECK(in_order(hits, 3));
  }
}

TEST_CASE("ids at the ends of their range can be added, filtered and removed") {
  constexpr Id kLast = std::numeric_limits<Id>::max();  // -1, to who takes ids for signed
  std::vector<Id> ids;
  for (Id i = 0; i < 100; ++i) {
    for (const Id from : {Id{0}, Id{1} << 32, (Id{1} << 63) - 50, kLast - 99}) {
      ids.push_back(from + i);
    }
  }
  Clusters clusters(76, 12);
  Index index = make(12);
  const Matrix rows = clusters.draw(ids.size());
  index.add(rows.view(), ids);
  std::vector<Id> sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  CHECK(index.ids() == sorted);
  IdFilter high;
  for (const Id id : ids) {
    if (id >= Id{1} << 63) high.insert(id);
  }
  SearchOptions options;
  options.filter = &high;
  options.k = 400;
  const auto hits = index.search(rows.row(0), options);
  CHECK(in_order(hits, 150));
  for (const Neighbor& hit : hits) CHECK(hit.id >= Id{1} << 63);
  CHECK(index.search(rows.row(399))[0].id == kLast);
  CHECK(index.remove(std::vector<Id>{kLast, kLast, 0}) == 2);
  CHECK_FALSE(index.contains(kLast));
  CHECK_THAT(error_message(ErrorCode::kKeyNotFound, [&] { index.vector(kLast); }),
             Contains("18446744073709551615"));
}

TEST_CASE("among very many equal vectors the others are still found") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kL2);
  constexpr std::size_t kEqual = vsearch_test::kSanitized ? 4000 : 20000;
  constexpr std::size_t kOthers = 1000;
  constexpr std::size_t kDim = 16;
  Clusters clusters(77, kDim);
  const Matrix others = clusters.draw(kOthers);
  const Matrix one = clusters.draw(1);
  Matrix equal(kEqual, kDim);
  for (std::size_t row = 0; row < kEqual; ++row) {
    std::copy(one.data.begin(), one.data.end(), equal.row(row).begin());
  }
  Index index = make(kDim, metric);
  index.add({others.data.data(), kOthers / 2, kDim}, ids_from(0, kOthers / 2));
  index.add(equal.view(), ids_from(kOthers, kEqual));
  index.add({others.row(kOthers / 2).data(), kOthers / 2, kDim},
            ids_from(kOthers / 2, kOthers / 2));
  std::size_t found = 0;
  for (std::size_t row = 0; row < kOthers; ++row) {
    const auto hits = index.search(others.row(row));
    REQUIRE(in_order(hits, 10));
    found += hits[0].id == row ? 1 : 0;
  }
  CHECK(found >= kOthers * 99 / 100);
  for (const Neighbor& hit : index.search(one.row(0))) CHECK(hit.id >= kOthers);
  // And when most of them go again.
  index.remove(ids_from(kOthers, kEqual - 100));
  found = 0;
  for (std::size_t row = 0; row < kOthers; ++row) {
    found += index.search(others.row(row))[0].id == row ? 1 : 0;
  }
  CHECK(found >= kOthers * 99 / 100);
}

TEST_CASE("vectors on one line are found in their order") {
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  constexpr std::size_t kCount = 4000;
  constexpr std::size_t kDim = 16;
  Random random(78);
  Matrix rows(kCount, kDim);
  for (std::size_t row = 0; row < kCount; ++row) {
    const float at = static_cast<float>(random.below(1000000)) / 1000.0F;
    for (std::size_t i = 0; i < kDim; ++i) rows.row(row)[i] = at * static_cast<float>(i + 1);
  }
  Index index = make(kDim, Metric::kL2, storage);
  index.add(rows.view(), ids_from(0, kCount));
  const vsearch::MatrixView queries{rows.data.data(), 200, kDim};
  // With 256 steps a dimension, and all dimensions in step, some sixteen look alike to a walk.
  CHECK(vsearch_test::recall(index, queries, {}) >= (storage == Storage::kInt8 ? 0.9 : 0.99));
}

TEST_CASE("what a progress callback throws comes through, and what was added stays") {
  Clusters clusters(79, 8);
  const Matrix rows = clusters.draw(1000);
  Index index = make(8);
  const auto add = [&](const vsearch::Progress& progress) {
    index.add(rows.view(), ids_from(0, 1000), progress);
  };
  CHECK_THROWS_AS(add([](std::uint64_t done, std::uint64_t) -> bool {
                    if (done >= 300) throw std::runtime_error("the host is not well");
                    return true;
                  }),
                  std::runtime_error);
  CHECK(index.size() >= 300);
  CHECK(index.size() < 400);
  // Not for want of memory of ours, so nobody says that nothing was added.
  CHECK_THROWS_AS(add([](std::uint64_t done, std::uint64_t) -> bool {
                    if (done > 500) throw std::bad_alloc();
                    return true;
                  }),
                  std::bad_alloc);
  CHECK(index.size() > 500);
  CHECK(index.size() < 1000);
  add({});
  CHECK(index.size() == 1000);
  CHECK(vsearch_test::recall(index, clusters.draw(20).view(), {}) >= 0.95);
}

TEST_CASE("a progress callback may search") {
  Clusters clusters(80, 8);
  const Matrix rows = clusters.draw(1000);
  Index index = make(8);
  std::uint64_t searched = 0;
  bool good = true;
  index.add(rows.view(), ids_from(0, 1000), [&](std::uint64_t done, std::uint64_t) {
    good = good && index.size() == done &&
           in_order(index.search(rows.row(0)), std::min<std::uint64_t>(10, done));
    ++searched;
    return true;
  });
  CHECK(good);
  CHECK(searched > 5);
}

TEST_CASE("a progress callback that changes or saves its index is told that it must not") {
  Clusters clusters(82, 8);
  const Matrix rows = clusters.draw(300);
  Index index = make(8);
  const vsearch_test::TempDir folder;
  const std::vector<std::function<void()>> attempts{
      [&] { index.add(rows.view(), ids_from(0, 300)); },
      [&] { index.remove(ids_from(0, 10)); },
      [&] { index.save(folder / "never"); },
  };
  for (const auto& attempt : attempts) {
    const std::string message = error_message(ErrorCode::kInvalidArgument, [&] {
      index.add(rows.view(), ids_from(0, 300), [&](std::uint64_t, std::uint64_t) {
        attempt();
        return true;
      });
    });
    CHECK_THAT(message, Contains("progress callback") && Contains("when the call is over"));
  }
  CHECK(std::filesystem::is_empty(folder.path()));
  index.add(rows.view(), ids_from(0, 300));
  CHECK(index.size() == 300);
}

TEST_CASE("an index works on in a process that was forked") {
  Clusters clusters(81, 8);
  Index index = make(8);
  index.add(clusters.draw(1000).view(), ids_from(0, 1000));
  const Matrix more = clusters.draw(200);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    index.add(more.view(), ids_from(1000, 200));
    index.remove(ids_from(0, 700));
    const auto hits = index.search(more.row(0));
    _exit(index.size() == 500 && in_order(hits, 10) && hits[0].id == 1000 ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(index.ids() == ids_from(0, 1000));
}

#include "vsearch/index.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "support/errors.h"
#include "support/sanitized.h"
#include "support/vectors.h"

using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::Id;
using vsearch::IdFilter;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::MatrixView;
using vsearch::Metric;
using vsearch::Neighbor;
using vsearch::SearchOptions;
using vsearch::Storage;
using vsearch_test::Clusters;
using vsearch_test::error_message;
using vsearch_test::ids_from;
using vsearch_test::kSanitized;

namespace {

Index make(std::uint32_t dim, Metric metric = Metric::kCosine, Storage storage = Storage::kInt8) {
  IndexOptions options;
  options.storage = storage;
  options.dim = dim;
  options.metric = metric;
  return Index(options);
}

void add_one(Index& index, Id id, const std::vector<float>& vector) {
  index.add({vector.data(), 1, vector.size()}, std::vector<Id>{id});
}

std::vector<Id> ids_of(const std::vector<Neighbor>& neighbours) {
  std::vector<Id> ids;
  for (const Neighbor& neighbour : neighbours) ids.push_back(neighbour.id);
  return ids;
}

}  // namespace

TEST_CASE("distances are those of the metric") {
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32, Storage::kFloat16,
                                Storage::kBFloat16, Storage::kCompact);
  // Of the range, which is about 100 here, fixed point loses up to a 65,000th.
  const double margin = storage == Storage::kFloat32 ? 1e-6 : 5e-3;
  const std::vector<float> query{3, 4};
  SECTION("cosine") {
    Index index = make(2, Metric::kCosine, storage);
    add_one(index, 1, {6, 8});
    add_one(index, 2, {-30, -40});
    add_one(index, 3, {-4, 3});
    const auto hits = index.search(query);
    REQUIRE(ids_of(hits) == std::vector<Id>{1, 3, 2});
    CHECK(hits[0].distance >= 0.0F);
    CHECK(hits[0].distance == Approx(0).margin(margin));
    CHECK(hits[1].distance == Approx(1).margin(margin));
    CHECK(hits[2].distance <= 2.0F);
    CHECK(hits[2].distance == Approx(2).margin(margin));
    const std::vector<float> stored = index.vector(1);
    CHECK(stored[0] == Approx(0.6).margin(margin));
    CHECK(stored[1] == Approx(0.8).margin(margin));
  }
  SECTION("inner product") {
    Index index = make(2, Metric::kInnerProduct, storage);
    add_one(index, 1, {1, 0});
    add_one(index, 2, {10, 10});
    const auto hits = index.search(query);
    REQUIRE(ids_of(hits) == std::vector<Id>{2, 1});
    CHECK(hits[0].distance == Approx(1 - 70).margin(margin));
    CHECK(hits[1].distance == Approx(1 - 3).margin(margin));
  }
  SECTION("squared L2") {
    Index index = make(2, Metric::kL2, storage);
    add_one(index, 1, {0, 0});
    add_one(index, 2, {3, 5});
    const auto hits = index.search(query);
    REQUIRE(ids_of(hits) == std::vector<Id>{2, 1});
    CHECK(hits[0].distance == Approx(1).margin(margin));
    CHECK(hits[1].distance == Approx(25).margin(margin));
    CHECK(index.vector(2)[0] == Approx(3).margin(margin));
    CHECK(index.vector(2)[1] == Approx(5).margin(margin));
  }
}

TEST_CASE("a graph walk finds what an exact search finds") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kInnerProduct, Metric::kL2);
  Clusters clusters(11, 48);
  Index index = make(48, metric);
  constexpr std::size_t kCount = kSanitized ? 1500 : 6000;
  const Matrix rows = clusters.draw(kCount);
  index.add(rows.view(), ids_from(100, kCount));
  CHECK(index.size() == kCount);
  const Matrix queries = clusters.draw(100);
  SearchOptions options;
  options.breadth = metric == Metric::kInnerProduct ? 128 : 64;
  CHECK(vsearch_test::recall(index, queries.view(), options) >= 0.95);
  options.breadth = 300;
  CHECK(vsearch_test::recall(index, queries.view(), options) >= 0.99);
}

TEST_CASE("breadth is raised to k") {
  Clusters clusters(12, 24);
  Index index = make(24);
  index.add(clusters.draw(4000).view(), ids_from(0, 4000));
  SearchOptions options;
  options.k = 200;
  options.breadth = 1;
  CHECK(index.search(clusters.draw(1).row(0), options).size() == 200);
}

TEST_CASE("neighbours come nearest first, the smaller id first among equals") {
  Index index = make(2, Metric::kL2);
  for (Id id = 40; id > 0; --id) add_one(index, id, {static_cast<float>(id % 4), 0});
  SearchOptions options;
  options.k = 12;
  options.exact = GENERATE(false, true);
  const auto hits = index.search(std::vector<float>{0, 0}, options);
  CHECK(ids_of(hits) == std::vector<Id>{4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 1, 5});
}

TEST_CASE("fewer than k results only if fewer are there") {
  Index index = make(4);
  CHECK(index.search(std::vector<float>{1, 0, 0, 0}).empty());
  add_one(index, 5, {1, 2, 3, 4});
  add_one(index, 6, {4, 3, 2, 1});
  SearchOptions options;
  options.k = std::numeric_limits<std::uint32_t>::max();
  CHECK(index.search(std::vector<float>{1, 0, 0, 0}, options).size() == 2);
}

TEST_CASE("an id may be any 64-bit number") {
  const std::vector<Id> ids{0, std::numeric_limits<Id>::max(), Id{1} << 63, 0xFFFFFFFF};
  Index index = make(4, Metric::kL2);
  for (std::size_t i = 0; i < ids.size(); ++i)
    add_one(index, ids[i], {static_cast<float>(i), 0, 0, 0});
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(index.search(std::vector<float>{static_cast<float>(i), 0, 0, 0})[0].id == ids[i]);
  }
  CHECK(index.ids() == std::vector<Id>{0, 0xFFFFFFFF, Id{1} << 63, std::numeric_limits<Id>::max()});
  CHECK(index.remove(ids) == 4);
  CHECK(index.size() == 0);
}

TEST_CASE("adding an id that is present replaces its vector") {
  Index index = make(2, Metric::kL2, Storage::kFloat32);
  add_one(index, 1, {0, 0});
  add_one(index, 2, {5, 0});
  add_one(index, 1, {9, 0});
  CHECK(index.size() == 2);
  CHECK(index.vector(1) == std::vector<float>{9, 0});
  const auto hits = index.search(std::vector<float>{0, 0});
  REQUIRE(ids_of(hits) == std::vector<Id>{2, 1});
  CHECK(hits[1].distance == 81.0F);
}

TEST_CASE("of an id that stands twice in a batch the last row counts") {
  Matrix rows(4, 2);
  rows.data = {1, 1, 2, 2, 3, 3, 4, 4};
  Index index = make(2, Metric::kL2, Storage::kFloat32);
  std::uint64_t last_done = 0;
  index.add(rows.view(), std::vector<Id>{7, 8, 7, 7}, [&](std::uint64_t done, std::uint64_t total) {
    CHECK(total == 4);
    CHECK(done >= last_done);
    last_done = done;
    return true;
  });
  CHECK(last_done == 4);
  CHECK(index.ids() == std::vector<Id>{7, 8});
  CHECK(index.vector(7) == std::vector<float>{4, 4});
}

TEST_CASE("removed vectors are not found, and may come back") {
  Clusters clusters(13, 16);
  const Matrix rows = clusters.draw(3000);
  Index index = make(16);
  index.add(rows.view(), ids_from(0, 3000));
  std::vector<Id> gone = ids_from(0, 1000);
  gone.push_back(5);      // twice
  gone.push_back(99999);  // never there
  CHECK(index.remove(gone) == 1000);
  CHECK(index.remove(gone) == 0);
  CHECK(index.size() == 2000);
  CHECK_FALSE(index.contains(5));
  CHECK(index.contains(1000));
  for (std::size_t row = 0; row < 1000; row += 50) {
    for (const Neighbor& hit : index.search(rows.row(row))) CHECK(hit.id >= 1000);
  }
  index.add({rows.data.data(), 10, 16}, ids_from(0, 10));
  CHECK(index.size() == 2010);
  CHECK(index.search(rows.row(7))[0].id == 7);
}

TEST_CASE("an index whose vectors were all removed can be filled again") {
  Clusters clusters(14, 16);
  Index index = make(16);
  for (int round = 0; round < 3; ++round) {
    const Matrix rows = clusters.draw(2000);
    index.add(rows.view(), ids_from(0, 2000));
    CHECK(vsearch_test::recall(index, clusters.draw(20).view(), {}) >= 0.95);
    index.remove(ids_from(0, 2000));
    CHECK(index.size() == 0);
    CHECK(index.stats().removed == 0);
    CHECK(index.search(rows.row(0)).empty());
  }
}

TEST_CASE("filters: none, one, few, many, all") {
  constexpr std::size_t kCount = kSanitized ? 2500 : 5000;
  Clusters clusters(15, 32);
  Index index = make(32);
  index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
  const Matrix queries = clusters.draw(20);
  const std::size_t step = GENERATE(std::size_t{1}, 2, 10, 100, 2500);
  IdFilter filter;
  for (Id id = 0; id < kCount; id += step) filter.insert(id);
  SearchOptions options;
  options.filter = &filter;
  for (std::size_t row = 0; row < queries.rows; ++row) {
    const auto hits = index.search(queries.row(row), options);
    CHECK(hits.size() == std::min<std::size_t>(10, kCount / step));
    for (const Neighbor& hit : hits) CHECK(hit.id % step == 0);
  }
  CHECK(vsearch_test::recall(index, queries.view(), options) >= 0.95);
}

TEST_CASE("a filtered walk finds what matches, wherever it lies") {
  constexpr std::size_t kCount = kSanitized ? 4000 : 16000;
  constexpr std::size_t kDim = 32;
  Clusters clusters(14, kDim, 40, 0.8F);
  Index index = make(kDim);
  const Matrix rows = clusters.draw(kCount);
  index.add(rows.view(), ids_from(0, kCount));
  const Matrix queries = clusters.draw(20);
  SearchOptions options;
  double found = 0;
  options.breadth = 40;  // not so many that comparing all is cheaper
  for (std::size_t row = 0; row < queries.rows; ++row) {
    SearchOptions all;
    all.k = kCount;
    all.exact = true;
    const std::vector<Id> near_to_far = ids_of(index.search(queries.row(row), all));
    const std::size_t quarter = kCount * 3 / 10;
    const std::span<const Id> order(near_to_far);
    const IdFilter nearest{order.first(quarter)};
    const IdFilter farthest{order.last(quarter)};
    IdFilter any;
    for (Id id = row; id < kCount; id += 3) any.insert(id);
    IdFilter most;
    for (Id id = 0; id < kCount; ++id) {
      if (id % 10 != 0) most.insert(id);
    }
    for (const IdFilter* const filter :
         std::initializer_list<const IdFilter*>{&nearest, &farthest, &any, &most}) {
      options.filter = filter;
      INFO("query " << row << ", " << filter->size() << " match");
      const auto first = index.search(queries.row(row), options);
      const auto again = index.search(queries.row(row), options);  // knows the slots by now
      REQUIRE(first.size() == options.k);
      CHECK(again == first);
      for (const Neighbor& hit : first) REQUIRE(filter->contains(hit.id));
      const MatrixView one{queries.row(row).data(), 1, kDim};
      found += vsearch_test::recall(index, one, options) / static_cast<double>(4 * queries.rows);
    }
  }
  // The farthest are at nearly the same distance, so that upper bytes find two thirds of them.
  CHECK(found >= 0.9);
  for (const double share : {0.3, 0.9}) {
    IdFilter filter;
    for (Id id = 0; id < kCount; ++id) {
      if (static_cast<double>(id * 7919 % 1000) < 1000 * share) filter.insert(id);
    }
    options.filter = &filter;
    CHECK(vsearch_test::recall(index, queries.view(), options) >= 0.93);
  }
}

TEST_CASE("a filter follows an index that changes, and serves several") {
  Clusters clusters(15, 16);
  Index index = make(16);
  Index other = make(16);
  const Matrix rows = clusters.draw(200);
  index.add(rows.view(), ids_from(0, 200));
  other.add(rows.view(), ids_from(100, 200));
  IdFilter filter(ids_from(90, 20));
  SearchOptions options;
  options.k = 100;
  options.filter = &filter;
  const auto found = [&](const Index& in) {
    std::vector<Id> ids = ids_of(in.search(rows.row(0), options));
    std::sort(ids.begin(), ids.end());
    return ids;
  };
  for (int twice = 0; twice < 2; ++twice) {
    CHECK(found(index) == ids_from(90, 20));
    CHECK(found(other) == ids_from(100, 10));
  }
  index.remove(ids_from(0, 100));
  CHECK(found(index) == ids_from(100, 10));
  index.add({rows.row(5).data(), 3, 16}, ids_from(95, 3));
  CHECK(found(index) ==
        std::vector<Id>{95, 96, 97, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109});
  filter.insert(150);
  CHECK(found(index).back() == 150);
  const IdFilter copy = filter;
  options.filter = &copy;
  CHECK(found(index).size() == 14);
}

TEST_CASE("a filter may name ids that are not there, or nothing") {
  Clusters clusters(16, 8);
  Index index = make(8);
  index.add(clusters.draw(3000).view(), ids_from(0, 3000));
  const Matrix query = clusters.draw(1);
  SearchOptions options;
  const IdFilter nothing;
  options.filter = &nothing;
  CHECK(index.search(query.row(0), options).empty());

  // Larger than the index, but only three of its ids are there.
  IdFilter absent(ids_from(2997, 10000));
  options.filter = &absent;
  options.exact = GENERATE(false, true);
  auto hits = ids_of(index.search(query.row(0), options));
  std::sort(hits.begin(), hits.end());
  CHECK(hits == std::vector<Id>{2997, 2998, 2999});
}

TEST_CASE("k results come back even if the walk cannot reach them") {
  // Nothing but equal vectors: the graph's links lead to few of them.
  Index index = make(4, Metric::kL2);
  const std::vector<float> same(4 * 4000, 1.0F);
  index.add({same.data(), 4000, 4}, ids_from(0, 4000));
  SearchOptions options;
  options.k = 1500;
  CHECK(index.search(std::vector<float>{1, 1, 1, 1}, options).size() == 1500);
}

TEST_CASE("options out of range are refused") {
  IndexOptions options;
  const auto message = [&] {
    return error_message(ErrorCode::kInvalidArgument, [&] { Index index(options); });
  };
  CHECK_THAT(message(), Contains("dim is 0") && Contains("1 to 65536"));
  options.dim = 65537;
  CHECK_THAT(message(), Contains("dim is 65537"));
  options.dim = 4;
  options.links = 1;
  CHECK_THAT(message(), Contains("links is 1") && Contains("2 to 256"));
  options.links = 16;
  options.build_breadth = 0;
  CHECK_THAT(message(), Contains("build_breadth is 0"));
  options.build_breadth = 200;
  options.metric = static_cast<Metric>(9);
  CHECK_THAT(message(), Contains("metric is 9"));
}

TEST_CASE("bad rows are refused and named, and nothing is added") {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Index index = make(2);
  add_one(index, 50, {1, 1});
  const auto message = [&](const std::vector<float>& data, std::size_t cols,
                           const std::vector<Id>& ids) {
    return error_message(ErrorCode::kInvalidArgument, [&] {
      index.add({data.data(), data.size() / cols, cols}, ids);
    });
  };
  CHECK_THAT(message({1, 2, 3, 4, 5, 6}, 3, {1, 2}), Contains("3 dimensions") && Contains("has 2"));
  CHECK_THAT(message({1, 2, 3, 4}, 2, {1}), Contains("2 rows but 1 ids"));
  CHECK_THAT(message({1, 2, kNan, 4}, 2, {8, 9}), Contains("row 1 (id 9)") && Contains("NaN"));
  CHECK_THAT(message({1, -kInfinity, 3, 4}, 2, {8, 9}), Contains("row 0 (id 8)"));
  CHECK_THAT(message({1, 2, 0, 0}, 2, {8, 9}), Contains("row 1 (id 9)") && Contains("all zeros"));
  CHECK(index.ids() == std::vector<Id>{50});

  Index l2 = make(2, Metric::kL2);
  add_one(l2, 1, {0, 0});  // fine where lengths count
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] {
                             add_one(l2, 2, {3e38F, 3e38F});
                           }),
             Contains("row 0 (id 2)") && Contains("longer"));
  index.add({nullptr, 0, 0}, {});
  CHECK(index.size() == 1);
}

TEST_CASE("bad queries are refused") {
  Index index = make(2);
  add_one(index, 1, {1, 1});
  const auto message = [&](const std::vector<float>& query, std::uint32_t k) {
    SearchOptions options;
    options.k = k;
    return error_message(ErrorCode::kInvalidArgument, [&] { index.search(query, options); });
  };
  CHECK_THAT(message({1, 2, 3}, 1), Contains("3 dimensions") && Contains("has 2"));
  CHECK_THAT(message({1, 2}, 0), Contains("k is 0"));
  CHECK_THAT(message({1, std::numeric_limits<float>::quiet_NaN()}, 1), Contains("NaN"));
  CHECK_THAT(message({0, 0}, 1), Contains("all zeros"));
  CHECK_THAT(error_message(ErrorCode::kKeyNotFound, [&] { index.vector(2); }), Contains("id 2"));
}

TEST_CASE("adding can be cancelled, and what was added stays") {
  Clusters clusters(17, 8);
  const Matrix rows = clusters.draw(1000);
  Index index = make(8);
  const std::string message = error_message(ErrorCode::kCancelled, [&] {
    index.add(rows.view(), ids_from(0, 1000),
              [](std::uint64_t done, std::uint64_t) { return done < 300; });
  });
  CHECK(index.size() >= 300);
  CHECK(index.size() < 400);
  CHECK_THAT(message, Contains(std::to_string(index.size()) + " of 1000"));
  CHECK(index.search(rows.row(0))[0].id == 0);
}

TEST_CASE("an index moves with its contents") {
  Index first = make(2);
  add_one(first, 1, {1, 0});
  Index second(std::move(first));
  CHECK(second.size() == 1);
  Index third = make(2);
  third = std::move(second);
  CHECK(third.search(std::vector<float>{1, 0})[0].id == 1);
  CHECK(third.options().dim == 2);
}

TEST_CASE("a batch of queries is answered like one after the other") {
  Clusters clusters(5, 24);
  Index index = make(24);
  index.add(clusters.draw(3000).view(), ids_from(0, 3000));
  const Matrix queries = clusters.draw(37);
  vsearch::SearchReport one_by_one;
  std::vector<std::vector<Id>> expected;
  SearchOptions options;
  options.breadth = 32;
  for (std::size_t row = 0; row < queries.rows; ++row) {
    vsearch::SearchReport report;
    options.report = &report;
    expected.push_back(ids_of(index.search(queries.row(row), options)));
    one_by_one.distances += report.distances;
    one_by_one.expanded += report.expanded;
  }
  CHECK(one_by_one.expanded > queries.rows);
  CHECK(one_by_one.distances > one_by_one.expanded);
  vsearch::SearchReport report;
  options.report = &report;
  options.threads = GENERATE(1U, 2U, 0U);
  const auto found = index.search_batch(queries.view(), options);
  REQUIRE(found.size() == expected.size());
  for (std::size_t row = 0; row < queries.rows; ++row) CHECK(ids_of(found[row]) == expected[row]);
  CHECK(report.distances == one_by_one.distances);
  CHECK(report.expanded == one_by_one.expanded);
  CHECK(index.search_batch({nullptr, 0, 24}, options).empty());
  CHECK(report.distances == 0);
}

TEST_CASE("a bad query of a batch is named") {
  Index index = make(4);
  add_one(index, 1, {1, 0, 0, 0});
  Matrix queries(3, 4);
  std::fill(queries.data.begin(), queries.data.end(), 1.0F);
  queries.row(2)[1] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { index.search_batch(queries.view()); }),
      Contains("query 2"));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] {
                             index.search_batch({queries.data.data(), 4, 3});
                           }),
             Contains("query 0 has 3 dimensions"));
}

TEST_CASE("searches reach the recall they were asked for", "[large]") {
  const Metric metric = GENERATE(Metric::kCosine, Metric::kInnerProduct, Metric::kL2);
  Clusters clusters(9, 48, 200, 1.0F);
  Index index = make(48, metric);
  index.add(clusters.draw(12000).view(), ids_from(0, 12000));
  const Matrix queries = clusters.draw(150);
  SearchOptions options;
  options.exact = true;
  const auto truth = index.search_batch(queries.view(), options);
  options.exact = false;
  index.calibrate(queries.view());
  std::uint64_t before = 0;
  for (const double recall : {0.8, 0.9, 0.97, 0.999}) {
    vsearch::SearchReport report;
    options.recall = recall;
    options.report = &report;
    const auto found = index.search_batch(queries.view(), options);
    std::size_t hits = 0;
    for (std::size_t row = 0; row < queries.rows; ++row) {
      const std::vector<Id> right = ids_of(truth[row]);
      for (const Id id : ids_of(found[row])) hits += std::count(right.begin(), right.end(), id);
    }
    CHECK(static_cast<double>(hits) / (10.0 * 150) >= recall - 0.02);
    CHECK(report.distances >= before);  // more is not to be had for less
    before = report.distances;
  }
  CHECK(before < 150ULL * 12000);
  for (const double recall : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    options.recall = recall;
    CHECK_THAT(
        error_message(ErrorCode::kInvalidArgument, [&] { index.search(queries.row(0), options); }),
        Contains("recall"));
  }
}

TEST_CASE("a recall may be asked for without calibrating, of any index") {
  SearchOptions options;
  options.recall = 0.95;
  Index index = make(16);
  CHECK(index.search(std::vector<float>(16, 1.0F), options).empty());
  Clusters clusters(3, 16);
  index.add(clusters.draw(40).view(), ids_from(0, 40));
  CHECK(index.search(clusters.draw(1).row(0), options).size() == 10);
  index.add(clusters.draw(6000).view(), ids_from(40, 6000));  // then it calibrates again
  options.k = 100;
  CHECK(index.search(clusters.draw(1).row(0), options).size() == 100);
}

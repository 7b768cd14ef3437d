// Exact search: batches, threads and rounding, against one comparison after the other.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "index/products.h"
#include "support/errors.h"
#include "support/sanitized.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using Catch::Matchers::Contains;
using vsearch::Id;
using vsearch::IdFilter;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::MatrixView;
using vsearch::Metric;
using vsearch::Neighbor;
using vsearch::SearchOptions;
using vsearch::SearchReport;
using vsearch::Storage;
using vsearch_test::Clusters;
using vsearch_test::error_message;
using vsearch_test::ids_from;
using vsearch_test::kSanitized;
using Answers = std::vector<std::vector<Neighbor>>;

namespace {

Index make(std::uint32_t dim, Metric metric, Storage storage) {
  IndexOptions options;
  options.dim = dim;
  options.metric = metric;
  options.storage = storage;
  options.links = 4;
  options.build_breadth = 8;
  return Index(options);
}

SearchOptions exactly(std::uint32_t k, std::uint32_t threads = 1) {
  SearchOptions options;
  options.k = k;
  options.threads = threads;
  options.exact = true;
  return options;
}

// Of every vector the distance that the index itself gives when it is alone, sorted: nothing is
// shared with a scan of many.
Answers one_by_one(const Index& index, MatrixView queries, const SearchOptions& options) {
  std::vector<IdFilter> alone;
  for (const Id id : index.ids()) {
    if (options.filter == nullptr || options.filter->contains(id)) {
      alone.emplace_back(std::vector<Id>{id});
    }
  }
  Answers answers;
  for (std::size_t row = 0; row < queries.rows; ++row) {
    std::vector<Neighbor>& found = answers.emplace_back();
    SearchOptions one = exactly(1);
    for (const IdFilter& filter : alone) {
      one.filter = &filter;
      found.push_back(index.search(queries.row(row), one).at(0));
    }
    std::ranges::sort(found, [](const Neighbor& a, const Neighbor& b) {
      return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
    });
    if (found.size() > options.k) found.resize(options.k);
  }
  return answers;
}

MatrixView first(const Matrix& rows, std::size_t count) {
  return {rows.data.data(), count, rows.cols};
}

}  // namespace

TEST_CASE("a batch is answered as its queries alone are, to the last bit") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kInnerProduct, Metric::kL2);
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  const std::uint32_t dim = GENERATE(1U, 7U, 100U, 1030U);
  const std::size_t count = (dim > 1000 ? 300 : 900) / (kSanitized ? 2 : 1);
  CAPTURE(static_cast<int>(metric), static_cast<int>(storage), dim);
  Clusters clusters(61, dim);
  Matrix rows = clusters.draw(count);
  // Equal vectors, and others that differ by less than a comparison in bulk can tell.
  for (std::size_t row = 0; row < 40; ++row) {
    std::ranges::copy(rows.row(100), rows.row(row).begin());
    if (row % 2 == 0) rows.row(row)[0] *= 1.0F + 1e-6F * static_cast<float>(row);
  }
  Index index = make(dim, metric, storage);
  std::vector<Id> ids = ids_from(0, count);
  std::ranges::reverse(ids);
  index.add(rows.view(), ids);
  index.remove(ids_from(300, 90));
  Matrix queries = clusters.draw(kSanitized ? 33 : 70);
  std::ranges::copy(rows.row(100), queries.row(0).begin());  // is there, many times
  for (std::size_t i = 0; i < dim; ++i) queries.row(1)[i] = -rows.row(100)[i];
  const Answers expected = one_by_one(index, queries.view(), exactly(10));
  for (const std::size_t batch : {1, 2, 5, 6, 31, 33, 70}) {
    if (batch > queries.rows) continue;
    for (const std::uint32_t threads : {1U, 3U}) {
      INFO(batch << " queries on " << threads << " threads");
      const Answers answers = index.search_batch(first(queries, batch), exactly(10, threads));
      CHECK(answers == Answers(expected.begin(), expected.begin() + batch));
    }
  }
  CHECK(index.search(queries.row(5), exactly(10)) == expected[5]);
}

TEST_CASE("vectors far from the origin are told apart") {
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  Clusters clusters(62, 32, 5, 0.01F);
  Matrix rows = clusters.draw(700);
  for (float& value : rows.data) value += 1000.0F;
  Index index = make(32, Metric::kL2, storage);
  index.add(rows.view(), ids_from(0, 700));
  CHECK(index.search_batch(first(rows, 40), exactly(5)) ==
        one_by_one(index, first(rows, 40), exactly(5)));
}

TEST_CASE("the longest vectors that are allowed do not overflow") {
  Index index = make(4, Metric::kL2, GENERATE(Storage::kInt8, Storage::kFloat32));
  Matrix rows(20, 4);
  for (std::size_t row = 0; row < 20; ++row) {
    rows.row(row)[row % 4] = (row % 2 == 0 ? 9e16F : -9e16F) / static_cast<float>(1 + row / 4);
  }
  index.add(rows.view(), ids_from(0, 20));
  const Answers answers = index.search_batch(rows.view(), exactly(20));
  CHECK(answers == one_by_one(index, rows.view(), exactly(20)));
  for (const auto& answer : answers) {
    CHECK(answer.size() == 20);
    for (const Neighbor& neighbour : answer) CHECK(std::isfinite(neighbour.distance));
  }
}

TEST_CASE("what is opposite to a query is reported at 2, the smaller ids first") {
  Index index = make(3, Metric::kCosine, Storage::kFloat32);
  Matrix rows(200, 3);
  for (std::size_t row = 0; row < 200; ++row) {
    for (std::size_t i = 0; i < 3; ++i) {
      rows.row(row)[i] = -static_cast<float>(1 + i) * static_cast<float>(200 - row) / 7.0F;
    }
  }
  index.add(rows.view(), ids_from(0, 200));
  Matrix queries(32, 3);
  for (std::size_t row = 0; row < 32; ++row) {
    for (std::size_t i = 0; i < 3; ++i) queries.row(row)[i] = static_cast<float>(1 + i);
  }
  CHECK(index.search_batch(queries.view(), exactly(4)) ==
        one_by_one(index, queries.view(), exactly(4)));
}

TEST_CASE("filters, and more neighbours than there are") {
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  Clusters clusters(63, 24);
  Index index = make(24, Metric::kCosine, storage);
  index.add(clusters.draw(1000).view(), ids_from(0, 1000));
  const Matrix queries = clusters.draw(40);
  SearchOptions options = exactly(30, 2);
  SECTION("some match") {
    std::vector<Id> some{5000, 6000};  // absent
    for (Id id = 3; id < 1000; id += 7) some.push_back(id);
    const IdFilter filter(some);
    options.filter = &filter;
    CHECK(index.search_batch(queries.view(), options) ==
          one_by_one(index, queries.view(), options));
  }
  SECTION("fewer than k match") {
    const IdFilter filter(ids_from(990, 20));
    options.filter = &filter;
    const Answers answers = index.search_batch(queries.view(), options);
    CHECK(answers == one_by_one(index, queries.view(), options));
    for (const auto& answer : answers) CHECK(answer.size() == 10);
  }
  SECTION("none matches") {
    const IdFilter filter(ids_from(2000, 5));
    options.filter = &filter;
    CHECK(index.search_batch(queries.view(), options) == Answers(40));
  }
  SECTION("all are wanted") {
    options.k = std::numeric_limits<std::uint32_t>::max();
    const Answers answers = index.search_batch(queries.view(), options);
    for (const auto& answer : answers) CHECK(answer.size() == 1000);
    CHECK(Answers(answers.begin(), answers.begin() + 8) ==
          one_by_one(index, first(queries, 8), options));
  }
}

TEST_CASE("an exact batch of an empty index, of no queries, and what it took") {
  Index index = make(8, Metric::kL2, Storage::kInt8);
  Clusters clusters(64, 8);
  const Matrix queries = clusters.draw(20);
  SearchReport report{7, 7};
  SearchOptions options = exactly(3);
  options.report = &report;
  CHECK(index.search_batch(queries.view(), options) == Answers(20));
  CHECK(report.distances == 0);
  index.add(clusters.draw(50).view(), ids_from(0, 50));
  CHECK(index.search_batch({queries.data.data(), 0, 8}, options).empty());
  CHECK(index.search_batch({}, options).empty());
  CHECK(report.distances == 0);
  index.search_batch(queries.view(), options);
  CHECK(report.distances == 20 * 50);
  CHECK(report.expanded == 0);
}

TEST_CASE("a bad query of an exact batch is named") {
  Index index = make(8, Metric::kCosine, Storage::kInt8);
  Matrix queries = Clusters(65, 8).draw(10);
  index.add(queries.view(), ids_from(0, 10));
  queries.row(7)[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(error_message(vsearch::ErrorCode::kInvalidArgument,
                           [&] { index.search_batch(queries.view(), exactly(3)); }),
             Contains("query 7 holds NaN or infinity"));
  CHECK_THAT(error_message(vsearch::ErrorCode::kInvalidArgument,
                           [&] {
                             index.search_batch({queries.data.data(), 20, 4}, exactly(3));
                           }),
             Contains("query 0 has 4 dimensions but the index has 8"));
}

TEST_CASE("every matrix product agrees with double precision") {
  vsearch_test::Random random(66);
  for (const auto& products : vsearch::index::products()) {
    for (const std::size_t depth : {1, 2, 3, 16, 100, 513}) {
      INFO(products.name << " at " << depth);
      const std::size_t stride = depth + 3;
      std::vector<float> vectors(products.rows * stride);
      std::vector<float> packed(products.lanes * depth);
      for (float& value : vectors) value = random.normal();
      for (float& value : packed) value = random.normal();
      std::vector<float> sums(products.rows * products.lanes, 1e30F);
      std::vector<float> more(sums.size(), 5.0F);
      products.multiply(vectors.data(), stride, packed.data(), depth, false, sums.data());
      products.multiply(vectors.data(), stride, packed.data(), depth, true, more.data());
      double worst = 0;
      double worst_added = 0;
      for (std::size_t row = 0; row < products.rows; ++row) {
        for (std::size_t lane = 0; lane < products.lanes; ++lane) {
          double expected = 0;
          for (std::size_t i = 0; i < depth; ++i) {
            expected +=
                static_cast<double>(vectors[row * stride + i]) * packed[i * products.lanes + lane];
          }
          const std::size_t at = row * products.lanes + lane;
          worst = std::max(worst, std::abs(sums[at] - expected));
          worst_added = std::max(worst_added, std::abs(more[at] - expected - 5.0));
        }
      }
      CHECK(worst < 1e-6 * static_cast<double>(depth + 4));
      CHECK(worst_added < 1e-6 * static_cast<double>(depth + 8));
    }
  }
  CHECK(std::string(vsearch::index::products().back().name) == "portable");
}

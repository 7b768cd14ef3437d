// Index::merge(): the vectors of one index come into another.
#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using vsearch::ErrorCode;
using vsearch::Id;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Metric;
using vsearch::Storage;
using vsearch_test::Clusters;
using vsearch_test::error_message;
using vsearch_test::ids_from;

namespace {

IndexOptions options(std::uint32_t dim = 24) {
  IndexOptions result;
  result.dim = dim;
  return result;
}

}  // namespace

TEST_CASE("merging into an empty index copies it") {
  Clusters clusters(91, 24);
  Index from(options());
  from.add(clusters.draw(4000).view(), ids_from(0, 4000));
  from.remove(ids_from(0, 300));
  Index index(options());
  index.add(clusters.draw(5).view(), ids_from(0, 5));
  index.remove(ids_from(0, 5));  // empty again
  index.merge(from);
  CHECK(index.ids() == ids_from(300, 3700));
  CHECK(index.stats().removed == from.stats().removed);
  const Matrix queries = clusters.draw(100);
  for (std::size_t row = 0; row < queries.rows; ++row) {
    CHECK(index.search(queries.row(row)) == from.search(queries.row(row)));
  }

  // Both go their own ways.
  const auto before = from.search(queries.row(0));
  index.remove(ids_from(300, 2000));
  index.add(clusters.draw(3000).view(), ids_from(3000, 3000));
  CHECK(index.ids().size() == 700 + 3000);
  CHECK(vsearch_test::recall(index, queries.view(), {}) >= 0.95);
  CHECK(from.search(queries.row(0)) == before);
  CHECK(from.ids() == ids_from(300, 3700));
  CHECK(vsearch_test::recall(from, queries.view(), {}) >= 0.95);
}

TEST_CASE("merging adds and replaces") {
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  Clusters clusters(92, 24);
  IndexOptions other = options();
  other.storage = storage;
  other.links = 8;
  Index from(other);
  from.add(clusters.draw(2000).view(), ids_from(1500, 2000));
  from.remove(ids_from(3000, 100));
  Index index(options());
  index.add(clusters.draw(2000).view(), ids_from(0, 2000));
  std::vector<std::uint64_t> seen;
  index.merge(from, [&](std::uint64_t done, std::uint64_t total) {
    CHECK(total == 1900);
    seen.push_back(done);
    return true;
  });
  CHECK(seen.front() == 0);
  CHECK(seen.back() == 1900);
  CHECK(index.size() == 1500 + 1900);
  for (const Id id : from.ids()) {
    const std::vector<float> theirs = from.vector(id);
    const std::vector<float> ours = index.vector(id);
    for (std::size_t i = 0; i < 24; ++i) REQUIRE(ours[i] == Approx(theirs[i]).margin(1e-4));
  }
  CHECK(vsearch_test::recall(index, clusters.draw(100).view(), {}) >= 0.95);
  CHECK(index.check_health().unreachable == 0);
}

TEST_CASE("an empty index with other options builds a graph of its own") {
  Clusters clusters(93, 24);
  Index from(options());
  from.add(clusters.draw(1000).view(), ids_from(0, 1000));
  IndexOptions other = options();
  other.links = 4;
  Index index(other);
  index.merge(from);
  CHECK(index.ids() == from.ids());
  CHECK(index.options().links == 4);
  CHECK(index.check_health().most_degree <= 8);
}

TEST_CASE("merging an empty index changes nothing") {
  Clusters clusters(94, 24);
  Index index(options());
  index.merge(Index(options()));
  CHECK(index.size() == 0);
  index.add(clusters.draw(10).view(), ids_from(0, 10));
  index.merge(Index(options()));
  CHECK(index.ids() == ids_from(0, 10));
}

TEST_CASE("what cannot be merged is refused") {
  Clusters clusters(95, 24);
  Index index(options());
  index.add(clusters.draw(10).view(), ids_from(0, 10));
  CHECK(error_message(ErrorCode::kInvalidArgument, [&] { index.merge(index); }) ==
        "an index cannot be merged into itself: name another one");
  CHECK(error_message(ErrorCode::kInvalidArgument, [&] { index.merge(Index(options(23))); }) ==
        "the other index has 23 dimensions and this one has 24: merge indexes of the same encoder");
  IndexOptions other = options();
  other.metric = Metric::kL2;
  CHECK(error_message(ErrorCode::kInvalidArgument, [&] { index.merge(Index(other)); }) ==
        "the other index has another metric than this one: merge indexes of the same encoder");
  CHECK(index.ids() == ids_from(0, 10));
}

TEST_CASE("a merge can be cancelled") {
  Clusters clusters(96, 24);
  Index from(options());
  from.add(clusters.draw(1000).view(), ids_from(0, 1000));
  Index empty(options());
  const auto never = [](std::uint64_t, std::uint64_t) { return false; };
  error_message(ErrorCode::kCancelled, [&] { empty.merge(from, never); });
  CHECK(empty.size() == 0);
  Index index(options());
  index.add(clusters.draw(10).view(), ids_from(5000, 10));
  const auto half = [](std::uint64_t done, std::uint64_t total) { return 2 * done < total; };
  error_message(ErrorCode::kCancelled, [&] { index.merge(from, half); });
  CHECK(index.size() > 300);
  CHECK(index.size() < 1000);
}

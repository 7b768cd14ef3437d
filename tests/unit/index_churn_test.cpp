// An index through which many vectors pass: it must stay good and small.
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "support/sanitized.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using vsearch::Id;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch_test::Clusters;
using vsearch_test::ids_from;

namespace {

constexpr std::size_t kDim = 64;
constexpr std::size_t kCount = 3000;

IndexOptions options() {
  IndexOptions result;
  result.dim = kDim;
  return result;
}

Index fresh_copy(const Index& index) {
  Index fresh(options());
  const std::vector<Id> ids = index.ids();
  Matrix rows(ids.size(), kDim);
  for (std::size_t row = 0; row < ids.size(); ++row) {
    const std::vector<float> vector = index.vector(ids[row]);
    std::copy(vector.begin(), vector.end(), rows.row(row).begin());
  }
  fresh.add(rows.view(), ids);
  return fresh;
}

}  // namespace

TEST_CASE("after three turnovers of a sliding window the index is as good as a fresh one") {
  // Spread so wide that breadth 64 is not enough for everything: else every graph looks perfect.
  Clusters clusters(21, kDim, 50, 1.5F);
  Index index(options());
  index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
  constexpr std::size_t kStep = 20;
  constexpr std::size_t kTurnovers = vsearch_test::kSanitized ? 1 : 3;
  Id oldest = 0;
  for (std::size_t step = 0; step < kTurnovers * kCount / kStep; ++step, oldest += kStep) {
    CHECK(index.remove(ids_from(oldest, kStep)) == kStep);
    index.add(clusters.draw(kStep).view(), ids_from(oldest + kCount, kStep));
    const vsearch::IndexStats stats = index.stats();
    REQUIRE(stats.size == kCount);
    REQUIRE(stats.removed <= (stats.size + stats.removed) / 5);
    REQUIRE(stats.capacity <= kCount * 3 / 2);
  }
  CHECK(index.ids() == ids_from(oldest, kCount));
  const Index fresh = fresh_copy(index);
  const Matrix queries = clusters.draw(200);
  const double churned = vsearch_test::recall(index, queries.view(), {});
  const double anew = vsearch_test::recall(fresh, queries.view(), {});
  INFO("recall " << churned << ", of a fresh index " << anew);
  CHECK(anew < 1.0);
  CHECK(churned >= anew - 0.02);
}

TEST_CASE("replacing every vector again and again keeps recall and memory") {
  Clusters clusters(22, kDim);
  Index index(options());
  const std::vector<Id> ids = ids_from(0, kCount);
  for (int round = 0; round < (vsearch_test::kSanitized ? 2 : 4); ++round) {
    const Matrix rows = clusters.draw(kCount);
    for (std::size_t begin = 0; begin < kCount; begin += 500) {
      index.add({rows.row(begin).data(), 500, kDim}, std::span(ids).subspan(begin, 500));
    }
    CHECK(index.size() == kCount);
    CHECK(index.search(rows.row(1234))[0].id == 1234);
  }
  CHECK(index.stats().capacity <= 2 * kCount);
  CHECK(vsearch_test::recall(index, clusters.draw(100).view(), {}) >= 0.95);
}

TEST_CASE("vectors stay reachable when whole clusters go") {
  // Ten clusters far apart, nine of which are removed, one after the other.
  std::vector<Clusters> each;
  for (std::uint64_t c = 0; c < 10; ++c) each.emplace_back(30 + c, kDim, 1, 0.2F);
  Index index(options());
  for (Id c = 0; c < 10; ++c) index.add(each[c].draw(500).view(), ids_from(c * 500, 500));
  for (Id c = 0; c < 9; ++c) {
    CHECK(index.remove(ids_from(c * 500, 500)) == 500);
    for (Id left = c + 1; left < 10; ++left) {
      CHECK(vsearch_test::recall(index, each[left].draw(10).view(), {}) >= 0.9);
    }
  }
}

TEST_CASE("removing most vectors at once gives their memory back") {
  Clusters clusters(23, kDim);
  Index index(options());
  index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
  const vsearch::IndexStats before = index.stats();
  CHECK(index.remove(ids_from(0, kCount - 600)) == kCount - 600);
  const vsearch::IndexStats after = index.stats();
  CHECK(after.removed == 0);
  CHECK(after.memory_bytes < before.memory_bytes / 2);
  CHECK(index.ids() == ids_from(kCount - 600, 600));
  CHECK(vsearch_test::recall(index, clusters.draw(50).view(), {}) >= 0.95);
}

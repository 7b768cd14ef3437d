// Checks and merges beside everything else. The build with ThreadSanitizer runs these too.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "support/vectors.h"
#include "vsearch/index.h"

using vsearch::Id;
using vsearch::Index;
using vsearch::IndexHealth;
using vsearch::IndexOptions;
using vsearch_test::Clusters;
using vsearch_test::ids_from;

namespace {

IndexOptions options() {
  IndexOptions result;
  result.dim = 16;
  result.links = 8;
  result.build_breadth = 40;
  return result;
}

}  // namespace

TEST_CASE("a check goes on beside adding, replacing, removing and rebuilding") {
  Clusters clusters(81, 16);
  Index index(options());
  index.add(clusters.draw(2500).view(), ids_from(0, 2500));
  std::atomic<bool> done = false;
  std::vector<IndexHealth> checks;
  std::thread checking([&] {
    while (!done) checks.push_back(index.check_health({.sample = 40, .breadth = 100}));
  });
  for (Id round = 0; round < 4; ++round) {
    index.add(clusters.draw(600).view(), ids_from(2500, 600));
    index.add(clusters.draw(600).view(), ids_from(2200, 600));
    index.remove(ids_from(2500, 600));
  }
  index.remove(ids_from(100, 2200));  // most of it: it is built anew
  index.add(clusters.draw(300).view(), ids_from(5000, 300));
  done = true;
  checking.join();
  REQUIRE_FALSE(checks.empty());
  for (const IndexHealth& health : checks) {
    CHECK(health.unreachable == 0);
    CHECK(health.self_recall > 0.7);  // new vectors have no links yet, for a moment
    CHECK(health.self_recall <= 1);
  }
  const IndexHealth after = index.check_health();
  CHECK(after.size == index.size());
  CHECK(after.lost == 0);
  CHECK(after.self_recall > 0.95);
}

TEST_CASE("two indexes can be merged into each other at the same time") {
  Clusters clusters(82, 16);
  Index a(options());
  Index b(options());
  a.add(clusters.draw(300).view(), ids_from(0, 300));
  b.add(clusters.draw(300).view(), ids_from(300, 300));
  std::atomic<std::size_t> failures = 0;
  std::vector<std::thread> threads;
  threads.emplace_back([&] { a.merge(b); });
  threads.emplace_back([&] { b.merge(a); });
  const vsearch::Matrix queries = clusters.draw(50);
  threads.emplace_back([&] {
    for (std::size_t i = 0; i < queries.rows; ++i) {
      failures += a.search(queries.row(i)).size() != 10 ? 1 : 0;
      failures += b.search(queries.row(i)).size() != 10 ? 1 : 0;
    }
  });
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(a.ids() == ids_from(0, 600));
  CHECK(b.ids() == ids_from(0, 600));
}

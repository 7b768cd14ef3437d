// Searches beside everything else. The build with ThreadSanitizer runs these too.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/error.h"
#include "vsearch/index.h"

using vsearch::Id;
using vsearch::IdFilter;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::SearchOptions;
using vsearch_test::Clusters;
using vsearch_test::ids_from;

namespace {

constexpr std::uint32_t kDim = 16;
constexpr std::size_t kCount = 1000;

IndexOptions options() {
  IndexOptions result;
  result.dim = kDim;
  result.links = 8;
  result.build_breadth = 40;
  return result;
}

// Threads that run until told to stop; Catch's assertions are for one thread only.
class Background {
 public:
  template <typename Work>
  void start(Work work) {
    threads_.emplace_back([this, work]() mutable {
      while (!stop_) {
        if (!work()) ++failures_;
        ++rounds_;
      }
    });
  }
  // Lets every thread come to its work.
  void wait_for_rounds(std::size_t more) {
    const std::size_t target = rounds_ + more;
    while (rounds_ < target) std::this_thread::yield();
  }
  std::size_t stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return failures_;
  }
  ~Background() { stop(); }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> failures_{0};
  std::atomic<std::size_t> rounds_{0};
  std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("searches go on beside adding, replacing, removing, growing and saving") {
  const vsearch_test::TempDir folder;
  Clusters clusters(51, kDim);
  Index index(options());
  index.add(clusters.draw(kCount).view(), ids_from(0, kCount));  // these are never removed
  const IdFilter few(ids_from(0, 20));
  const IdFilter many(ids_from(0, kCount));
  const Matrix queries = clusters.draw(100);

  Background background;
  for (std::size_t t = 0; t < 4; ++t) {
    background.start([&, next = t]() mutable {
      SearchOptions search;
      search.exact = next % 5 == 0;
      search.filter = next % 3 == 0 ? nullptr : next % 3 == 1 ? &few : &many;
      const auto hits = index.search(queries.row(next++ % queries.rows), search);
      bool good = hits.size() == 10;
      for (std::size_t i = 1; i < hits.size(); ++i) {
        good = good && hits[i - 1].distance <= hits[i].distance && hits[i - 1].id != hits[i].id;
      }
      return good;
    });
  }
  background.start([&] {
    const vsearch::IndexStats stats = index.stats();
    return stats.size >= kCount && stats.capacity >= stats.size + stats.removed &&
           index.ids().size() >= kCount && index.contains(7) && index.vector(7).size() == kDim;
  });
  background.start([&] {
    index.save(folder / "snapshot");
    return Index::load(folder / "snapshot").size() >= kCount;
  });
  std::thread second_writer([&] {
    Clusters others(52, kDim);
    for (Id round = 0; round < 6; ++round) {
      index.add(others.draw(100).view(), ids_from(kCount * 10, 100));  // replaced each time
    }
  });
  for (Id round = 0; round < 12; ++round) {
    index.add(clusters.draw(150).view(), ids_from(kCount + round * 150, 150));
    if (round > 1) index.remove(ids_from(kCount + (round - 2) * 150, 150));
  }
  index.remove(ids_from(kCount, 12 * 150));
  second_writer.join();
  background.wait_for_rounds(100);
  CHECK(background.stop() == 0);
  CHECK(index.size() == kCount + 100);
  CHECK(vsearch_test::recall(index, queries.view(), {}) >= 0.95);
}

TEST_CASE("a replaced vector is seen either old or new, never twice and never not at all") {
  // Most of the index is replaced and then removed, so that it is repaired and built anew.
  Index index(options());
  Clusters clusters(53, kDim);
  index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
  const Matrix places = Clusters(54, kDim).draw(2);
  constexpr Id kMoving = 123456;
  index.add({places.row(0).data(), 1, kDim}, std::vector<Id>{kMoving});
  const IdFilter only(std::vector<Id>{kMoving});

  Background background;
  for (int t = 0; t < 3; ++t) {
    background.start([&] {
      SearchOptions search;
      search.filter = &only;
      return index.search(places.row(0), search).size() == 1 && index.contains(kMoving);
    });
  }
  for (std::size_t round = 0; round < 150; ++round) {
    index.add({places.row(round % 2).data(), 1, kDim}, std::vector<Id>{kMoving});
    if (round == 75) index.remove(ids_from(0, kCount));
  }
  background.wait_for_rounds(30);
  CHECK(background.stop() == 0);
  CHECK(index.size() == 1);
}

TEST_CASE("neither a writer nor a searcher starves") {
  Index index(options());
  Clusters clusters(55, kDim);
  index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
  const Matrix queries = clusters.draw(50);
  std::atomic<std::size_t> searches{0};
  Background background;
  for (std::size_t t = 0; t < 4; ++t) {
    background.start([&, next = t]() mutable {
      index.search(queries.row(next++ % queries.rows));
      ++searches;
      return true;
    });
  }
  background.wait_for_rounds(4);
  const std::size_t before = searches;
  const auto start = std::chrono::steady_clock::now();
  for (Id id = 0; id < 500; ++id) index.add(clusters.draw(1).view(), ids_from(id, 1));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const std::size_t meanwhile = searches - before;
  CHECK(background.stop() == 0);
  INFO("500 vectors added in " << took.count() << " s beside " << meanwhile << " searches");
  CHECK(took.count() < 60);
  CHECK(meanwhile >= 100);
}

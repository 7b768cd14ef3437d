// Exact batches beside changes. The build with ThreadSanitizer runs these too.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <thread>
#include <vector>

#include "support/sanitized.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using vsearch::Id;
using vsearch::IdFilter;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Neighbor;
using vsearch::SearchOptions;
using vsearch_test::Clusters;
using vsearch_test::ids_from;

TEST_CASE("each answer of an exact batch is that of one moment, whatever changes meanwhile") {
  // Large enough to be compared in several pieces, between which the index may change.
  constexpr std::uint32_t kDim = 64;
  constexpr std::size_t kCount = 3000;
  constexpr std::size_t kReplaced = 1000;  // the first ones, again and again
  constexpr std::size_t kQueries = 150;
  constexpr Id kMoving = 123456;
  IndexOptions made_with;
  made_with.dim = kDim;
  made_with.metric = vsearch::Metric::kInnerProduct;
  made_with.links = 4;
  made_with.build_breadth = 16;
  Index index(made_with);
  Clusters clusters(71, kDim);
  index.add(clusters.draw(kCount).view(), ids_from(0, kCount));
  // Replaced again and again by a longer one, which makes ranges grow and everything be encoded
  // anew; always the nearest.
  const Matrix queries = Clusters(72, kDim, 1, 0.1F).draw(kQueries);
  const auto move = [&](std::size_t round) {
    Matrix moved(1, kDim);
    std::ranges::copy(queries.row(round % 8), moved.row(0).begin());
    for (float& value : moved.data) value *= 4.0F + 0.1F * static_cast<float>(round);
    index.add(moved.view(), std::vector<Id>{kMoving});
  };
  move(0);
  std::vector<Id> staying = ids_from(kReplaced, kCount - kReplaced);
  SearchOptions among_staying;
  among_staying.exact = true;
  IdFilter some(staying);
  among_staying.filter = &some;
  const auto expected = index.search_batch(queries.view(), among_staying);
  some.insert(kMoving);

  std::atomic<bool> stop{false};
  std::atomic<std::size_t> wrong{0};
  std::atomic<std::size_t> rounds{0};
  std::vector<std::thread> searchers;
  for (std::uint32_t thread = 0; thread < 3; ++thread) {
    searchers.emplace_back([&, thread] {
      SearchOptions options;
      options.exact = true;
      options.threads = 1 + thread % 2;
      options.filter = thread == 2 ? &some : nullptr;
      while (!stop) {
        const auto answers = index.search_batch(queries.view(), options);
        for (std::size_t query = 0; query < kQueries; ++query) {
          const std::vector<Neighbor>& found = answers[query];
          std::vector<Id> ids;
          for (const Neighbor& neighbour : found) ids.push_back(neighbour.id);
          const bool first = ids.size() == 10 && ids[0] == kMoving;
          for (std::size_t i = 1; thread == 2 && i < found.size(); ++i) {
            // New encodings move what stays by no more.
            if (std::abs(found[i].distance - expected[query][i - 1].distance) > 0.1F) ++wrong;
          }
          std::ranges::sort(ids);
          if (!first || std::ranges::adjacent_find(ids) != ids.end()) ++wrong;
        }
        ++rounds;
      }
    });
  }
  constexpr std::size_t kRounds = vsearch_test::kSanitized ? 15 : 60;
  for (std::size_t round = 0; round < kRounds || rounds < kRounds / 6; ++round) {
    move(round);
    const std::vector<Id> replaced = ids_from(round * 97 % (kReplaced - 40), 40);
    index.remove(replaced);
    index.add(clusters.draw(40).view(), replaced);
  }
  stop = true;
  for (std::thread& searcher : searchers) searcher.join();
  CHECK(wrong == 0);
}

// Scoring on several threads: the same result, progress where it was called, and a stop at once.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/errors.h"
#include "support/vectors.h"
#include "vsearch/metrics.h"

using vsearch::ErrorCode;
using vsearch::Matrix;
using vsearch::RetrievalScores;
using vsearch::RetrievalTask;
using vsearch::score_retrieval;

namespace {

struct Drawn {
  Matrix rows = vsearch_test::Clusters(1, 40).draw(700);
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> self;
  RetrievalTask task;

  explicit Drawn(std::int32_t classes) {
    for (std::int32_t row = 0; row < 700; ++row) {
      labels.push_back(row % classes);
      self.push_back(row);
    }
    task = {.queries = rows.view(),
            .gallery = rows.view(),
            .query_labels = labels,
            .gallery_labels = labels,
            .self = self};
  }
};

}  // namespace

TEST_CASE("scores do not depend on the number of threads") {
  const Drawn drawn(GENERATE(100, 3));
  const RetrievalScores alone = score_retrieval(drawn.task, {.keep_answers = 30, .threads = 1});
  for (const std::uint32_t threads : {2U, 5U, 0U}) {
    const RetrievalScores shared =
        score_retrieval(drawn.task, {.keep_answers = 30, .threads = threads});
    CHECK(shared.values.data == alone.values.data);
    CHECK(shared.first_right == alone.first_right);
    CHECK(shared.nearest_right == alone.nearest_right);
    CHECK(shared.nearest_wrong == alone.nearest_wrong);
    for (std::size_t query = 0; query < 700; ++query) {
      CHECK(std::ranges::equal(
          shared.answers[query], alone.answers[query], [](const auto& a, const auto& b) {
            return a.row == b.row && a.similarity == b.similarity && a.right == b.right;
          }));
    }
  }
}

TEST_CASE("progress is told on the thread of the caller, to the end") {
  const Drawn drawn(100);
  const std::thread::id caller = std::this_thread::get_id();
  std::vector<std::uint64_t> told;
  bool elsewhere = false;
  score_retrieval(drawn.task, {.threads = 4}, [&](std::uint64_t done, std::uint64_t total) {
    elsewhere = elsewhere || std::this_thread::get_id() != caller || total != 700;
    told.push_back(done);
    return true;
  });
  CHECK_FALSE(elsewhere);
  CHECK(std::ranges::is_sorted(told));
  CHECK(told.front() == 0);
  CHECK(told.back() == 700);
}

TEST_CASE("scoring can be stopped") {
  const Drawn drawn(100);
  for (const std::uint64_t until : {0U, 1U}) {
    vsearch_test::error_message(ErrorCode::kCancelled, [&] {
      score_retrieval(drawn.task, {.threads = 2},
                      [&](std::uint64_t done, std::uint64_t) { return done < until; });
    });
  }
}

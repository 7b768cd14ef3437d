// Retrieval metrics against the textbook, written out naively here.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "support/errors.h"
#include "support/vectors.h"
#include "vsearch/metrics.h"

using Catch::Matchers::Contains;
using vsearch::AveragePrecision;
using vsearch::ErrorCode;
using vsearch::Matrix;
using vsearch::RankedAnswer;
using vsearch::RetrievalOptions;
using vsearch::RetrievalScores;
using vsearch::RetrievalTask;
using vsearch::score_retrieval;
using vsearch::SelfMatch;
using vsearch_test::cosine;
using vsearch_test::error_message;
using vsearch_test::Random;
using Rows = std::vector<std::uint32_t>;

namespace {

// Of 1 and -1 in 16 dimensions: a vector of length 1 has exactly 1/4 and -1/4, and a cosine is one
// of 17 numbers without any rounding, so that equal ones are everywhere.
constexpr std::size_t kCoarseDim = 16;

struct Case {
  Matrix queries;
  Matrix gallery;
  std::vector<std::int32_t> query_labels;
  std::vector<std::int32_t> gallery_labels;
  std::vector<std::int64_t> self;
  std::vector<Rows> positives;
  std::vector<Rows> ignored;
  RetrievalTask task;  // borrows the others

  Case() = default;
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  void connect() {
    task.queries = queries.view();
    task.gallery = gallery.view();
    task.query_labels = query_labels;
    task.gallery_labels = gallery_labels;
    task.self = self;
    task.positives = positives;
    task.ignored = ignored;
  }
};

// A tenth of the rows have no label.
void label(Random& random, std::size_t rows, std::size_t classes,
           std::vector<std::int32_t>& labels) {
  for (std::size_t row = 0; row < rows; ++row) {
    const auto of_class = static_cast<std::int32_t>(random.below(classes));
    labels.push_back(random.below(10) == 0 ? -1 : of_class);
  }
}

void fill(Case& drawn, std::uint64_t seed, std::size_t queries, std::size_t gallery,
          std::size_t classes, bool coarse) {
  Random random(seed);
  const std::size_t dim = coarse ? kCoarseDim : 23;
  drawn.queries = Matrix(queries, dim);
  drawn.gallery = Matrix(gallery, dim);
  for (Matrix* const matrix : {&drawn.queries, &drawn.gallery}) {
    for (float& value : matrix->data) {
      const float sign = random.below(2) == 0 ? -1.0F : 1.0F;
      value = coarse ? sign : random.normal();
    }
  }
  label(random, queries, classes, drawn.query_labels);
  label(random, gallery, classes, drawn.gallery_labels);
  drawn.connect();
}

// Every second query stands in the gallery.
void put_into_gallery(Case& drawn) {
  for (std::size_t query = 0; query < drawn.queries.rows; ++query) {
    drawn.self.push_back(query % 2 == 0 ? static_cast<std::int64_t>(3 * query) : -1);
    if (drawn.self.back() == -1) continue;
    std::ranges::copy(drawn.queries.row(query), drawn.gallery.row(3 * query).begin());
    drawn.gallery_labels[3 * query] = drawn.query_labels[query];
  }
  drawn.connect();
}

// One query, ranked by a full sort.
struct Reference {
  struct Answer {
    std::uint32_t row;
    double cosine;
    bool right;
  };
  std::vector<Answer> answers;
  std::size_t right = 0;
  double gap = 1;  // the least between cosines that follow each other, where one is right

  Reference(const RetrievalTask& task, std::size_t query) {
    for (std::uint32_t row = 0; row < task.gallery.rows; ++row) {
      const auto holds = [&](std::span<const Rows> lists) {
        return !lists.empty() && std::ranges::count(lists[query], row) > 0;
      };
      if (holds(task.ignored)) continue;
      if (task.self_match == SelfMatch::kRemoved && !task.self.empty() && task.self[query] == row) {
        continue;
      }
      const bool is_right = task.positives.empty()
                                ? task.query_labels[query] != -1 &&
                                      task.query_labels[query] == task.gallery_labels[row]
                                : holds(task.positives);
      answers.push_back({row, cosine(task.queries.row(query), task.gallery.row(row)), is_right});
      right += is_right ? 1 : 0;
    }
    std::ranges::stable_sort(answers, std::greater{}, &Answer::cosine);
    for (std::size_t i = 1; i < answers.size(); ++i) {
      if (!answers[i].right && !answers[i - 1].right) continue;
      gap = std::min(gap, answers[i - 1].cosine - answers[i].cosine);
    }
  }

  std::size_t right_among(std::size_t first) const {
    std::size_t found = 0;
    for (std::size_t i = 0; i < std::min(first, answers.size()); ++i) found += answers[i].right;
    return found;
  }
  double precision(std::size_t k) const {
    return static_cast<double>(right_among(k)) / static_cast<double>(k);
  }
  double average_precision(std::size_t cutoff) const {
    double sum = 0;
    for (std::size_t k = 1; k <= std::min(cutoff, answers.size()); ++k) {
      if (answers[k - 1].right) sum += precision(k);
    }
    return sum / static_cast<double>(std::min(cutoff, right));
  }
  // The area below the precision over the recall, which each right answer raises.
  double trapezia() const {
    double area = 0;
    double recall = 0;
    double height = 1;
    for (std::size_t k = 1; k <= answers.size(); ++k) {
      const double next = static_cast<double>(right_among(k)) / static_cast<double>(right);
      area += (next - recall) * (height + precision(k)) / 2;
      recall = next;
      height = precision(k);
    }
    return area;
  }
  double ndcg() const {
    double gain = 0;
    double best = 0;
    for (std::size_t k = 1; k <= answers.size(); ++k) {
      const double discounted = 1 / std::log2(static_cast<double>(k) + 1);
      if (answers[k - 1].right) gain += discounted;
      if (k <= right) best += discounted;
    }
    return gain / best;
  }
  std::size_t first_right() const {
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (answers[i].right) return i + 1;
    }
    return 0;
  }
  double nearest(bool wanted) const {
    for (const Answer& answer : answers) {
      if (answer.right == wanted) return answer.cosine;
    }
    return std::numeric_limits<double>::quiet_NaN();
  }
  bool neighbours_agree(const RetrievalTask& task, std::size_t k) const {
    std::map<std::string, std::size_t> votes;
    std::vector<std::string> order;
    for (std::size_t i = 0; i < std::min(k, answers.size()); ++i) {
      const std::string group =
          answers[i].right
              ? "right"
              : std::to_string(task.gallery_labels.empty() ? -1
                                                           : task.gallery_labels[answers[i].row]);
      if (votes[group]++ == 0) order.push_back(group);
    }
    // The first of the most frequent.
    return *std::ranges::max_element(order, {}, [&](const auto& group) { return votes[group]; }) ==
           "right";
  }
};

const RetrievalOptions kOptions{
    .recall_at = {1, 3, 20}, .precision_at = {1, 7}, .knn = 5, .keep_answers = 12, .threads = 2};

void check_query(const RetrievalTask& task, const RetrievalScores& scores, std::size_t query,
                 const Reference& expected) {
  CAPTURE(query);
  const auto value = [&](const char* name) {
    return static_cast<double>(scores.values.row(query)[scores.column(name)]);
  };
  CHECK(scores.right_answers[query] == expected.right);
  CHECK(scores.first_right[query] == expected.first_right());
  const auto check_cosine = [](float found, double wanted) {
    CHECK(std::isnan(found) == std::isnan(wanted));
    if (!std::isnan(wanted)) CHECK(static_cast<double>(found) == Approx(wanted).margin(1e-6));
  };
  check_cosine(scores.nearest_right[query], expected.nearest(true));
  check_cosine(scores.nearest_wrong[query], expected.nearest(false));
  const std::vector<RankedAnswer>& answers = scores.answers[query];
  REQUIRE(answers.size() == std::min<std::size_t>(12, expected.answers.size()));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    CHECK(answers[i].row == expected.answers[i].row);
    CHECK(answers[i].right == expected.answers[i].right);
    check_cosine(answers[i].similarity, expected.answers[i].cosine);
  }
  if (expected.right == 0) {
    for (const float each : scores.values.row(query)) CHECK(std::isnan(each));
    return;
  }
  const bool trapezia = task.average_precision == AveragePrecision::kTrapezoid;
  const std::size_t r = expected.right;
  CHECK(value("R@1") == (expected.right_among(1) > 0 ? 1 : 0));
  CHECK(value("R@3") == (expected.right_among(3) > 0 ? 1 : 0));
  CHECK(value("R@20") == (expected.right_among(20) > 0 ? 1 : 0));
  CHECK(value("P@1") == Approx(expected.precision(1)));
  CHECK(value("P@7") == Approx(expected.precision(7)));
  CHECK(value("mAP") ==
        Approx(trapezia ? expected.trapezia()
                        : expected.average_precision(task.cutoff > 0 ? task.cutoff
                                                                     : expected.answers.size())));
  double at_r = 0;
  for (std::size_t k = 1; k <= r; ++k) {
    if (expected.answers[k - 1].right) at_r += expected.precision(k);
  }
  CHECK(value("mAP@R") == Approx(at_r / static_cast<double>(r)));
  CHECK(value("R-Prec") == Approx(expected.precision(r)));
  CHECK(value("nDCG") == Approx(expected.ndcg()));
  CHECK(value("MRR") == Approx(1.0 / static_cast<double>(expected.first_right())));
  CHECK(value("mMP@5") == Approx(expected.precision(std::min<std::size_t>(r, 5))));
  CHECK(value("kNN@5") == (expected.neighbours_agree(task, 5) ? 1 : 0));
}

// Everything about every query. Where cosines are not exact, queries are left out in which rounding
// could decide: more, the more right answers there are.
void check_all(const RetrievalTask& task, bool exact) {
  const RetrievalScores scores = score_retrieval(task, kOptions);
  REQUIRE(scores.values.rows == task.queries.rows);
  std::size_t checked = 0;
  std::size_t counted = 0;
  for (std::size_t query = 0; query < task.queries.rows; ++query) {
    const Reference expected(task, query);
    counted += expected.right > 0 ? 1 : 0;
    if (!exact && expected.gap < 3e-7) continue;
    check_query(task, scores, query, expected);
    ++checked;
  }
  CHECK(scores.counted() == counted);
  CHECK(checked * 4 >= task.queries.rows);
}

bool same(const RetrievalScores& a, const RetrievalScores& b) {
  const auto equal = [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  return a.names == b.names && std::ranges::equal(a.values.data, b.values.data, equal) &&
         a.right_answers == b.right_answers && a.first_right == b.first_right &&
         std::ranges::equal(a.nearest_right, b.nearest_right, equal) &&
         std::ranges::equal(a.nearest_wrong, b.nearest_wrong, equal) &&
         std::ranges::equal(a.answers, b.answers, [](const auto& x, const auto& y) {
           return std::ranges::equal(x, y, [](const RankedAnswer& p, const RankedAnswer& q) {
             return p.row == q.row && p.similarity == q.similarity && p.right == q.right;
           });
         });
}

}  // namespace

TEST_CASE("metrics are those of the textbook, with few and with many right answers") {
  // With 100 classes what is nearer is counted, with 8 and 2 all are placed.
  const auto classes = GENERATE(std::size_t{100}, std::size_t{8}, std::size_t{2});
  const bool coarse = GENERATE(false, true);
  CAPTURE(classes, coarse);
  Case drawn;
  fill(drawn, 10 + classes, 45, 1500, classes, coarse);
  check_all(drawn.task, coarse);
}

TEST_CASE("a gallery of a few rows is ranked like a large one") {
  for (std::size_t gallery = 2; gallery < 40; gallery += 3) {
    Case drawn;
    fill(drawn, gallery, 37, gallery, 2, true);
    check_all(drawn.task, true);
  }
}

TEST_CASE("a query that stands in the gallery answers itself only if it is kept") {
  Case drawn;
  fill(drawn, 3, 40, 200, 20, true);
  put_into_gallery(drawn);
  for (const SelfMatch self_match : {SelfMatch::kRemoved, SelfMatch::kKept}) {
    drawn.task.self_match = self_match;
    check_all(drawn.task, true);
  }
  drawn.task.self_match = SelfMatch::kKept;
  const float kept = score_retrieval(drawn.task, kOptions).nearest_right[0];
  CHECK(kept == 1.0F);
}

TEST_CASE("positives decide instead of labels, and what is ignored is not in the ranking") {
  Case drawn;
  fill(drawn, 4, 40, 300, 10, true);
  put_into_gallery(drawn);
  Random random(5);
  for (std::size_t query = 0; query < 40; ++query) {
    Rows& positives = drawn.positives.emplace_back();
    Rows& ignored = drawn.ignored.emplace_back();
    // Out of order, sometimes twice, sometimes none; some are ignored as well.
    const std::size_t count = query % 7 == 0 ? 0 : random.below(40);
    for (std::size_t i = 0; i < count; ++i) {
      positives.push_back(static_cast<std::uint32_t>(random.below(300)));
    }
    for (std::size_t i = 0; i < query; ++i) {
      ignored.push_back(static_cast<std::uint32_t>(random.below(300)));
    }
    if (count > 2) ignored.push_back(positives[0]);
  }
  drawn.connect();
  SECTION("with labels, which vote") {
    check_all(drawn.task, true);
  }
  SECTION("without labels") {
    drawn.task.query_labels = {};
    drawn.task.gallery_labels = {};
    check_all(drawn.task, true);
  }
  SECTION("labels, and something ignored") {
    drawn.task.positives = {};
    check_all(drawn.task, true);
  }
}

TEST_CASE("average precision by trapezia, and up to a cutoff") {
  Case drawn;
  fill(drawn, 6, 40, 300, 10, true);
  drawn.task.average_precision = AveragePrecision::kTrapezoid;
  check_all(drawn.task, true);
  drawn.task.average_precision = AveragePrecision::kStandard;
  for (const std::uint32_t cutoff : {1U, 10U, 100U, 1000U}) {
    drawn.task.cutoff = cutoff;
    check_all(drawn.task, true);
  }
}

TEST_CASE("a ranking that is worked out by hand") {
  // Right at the ranks 1 and 4 of 5; the wrong ones of labels 7, 8 and 8.
  Matrix queries(1, 2);
  queries.data = {1, 0};
  Matrix gallery(5, 2);
  gallery.data = {3, 0, 4, 1, 5, 2, 6, 3, 0, -2};
  const std::vector<std::int32_t> query_labels{1};
  const std::vector<std::int32_t> gallery_labels{1, 7, 8, 1, 8};
  RetrievalTask task{.queries = queries.view(),
                     .gallery = gallery.view(),
                     .query_labels = query_labels,
                     .gallery_labels = gallery_labels};
  RetrievalScores scores =
      score_retrieval(task, {.recall_at = {1}, .precision_at = {2, 10}, .knn = 5});
  CHECK(scores.names == std::vector<std::string>{"R@1", "P@2", "P@10", "mAP", "mAP@R", "R-Prec",
                                                 "nDCG", "MRR", "mMP@5", "kNN@5"});
  const auto value = [&](const char* name) {
    return static_cast<double>(scores.values.data[scores.column(name)]);
  };
  CHECK(value("R@1") == 1);
  CHECK(value("P@2") == 0.5);
  CHECK(value("P@10") == Approx(0.2));
  CHECK(value("mAP") == Approx((1.0 + 2.0 / 4) / 2));
  CHECK(value("mAP@R") == Approx(0.5));
  CHECK(value("R-Prec") == Approx(0.5));
  CHECK(value("nDCG") == Approx((1 + 1 / std::log2(5)) / (1 + 1 / std::log2(3))));
  CHECK(value("MRR") == 1);
  CHECK(value("mMP@5") == Approx(0.5));
  CHECK(value("kNN@5") == 1);  // as often as 8, and nearer
  CHECK(scores.answers[0].empty());
  task.average_precision = AveragePrecision::kTrapezoid;
  scores = score_retrieval(task, {.recall_at = {}, .precision_at = {}, .knn = 3});
  // Before the second right answer the precision is 1/3, and 2/4 with it.
  CHECK(value("mAP") == Approx((1 + (1.0 / 3 + 0.5) / 2) / 2));
  CHECK(value("kNN@3") == 1);
}

TEST_CASE("the length of a row does not count, however extreme") {
  Case drawn;
  fill(drawn, 7, 20, 100, 5, true);
  const RetrievalScores before = score_retrieval(drawn.task, kOptions);
  const float factors[] = {4.0F, 0x1p-130F, 0x1p120F, 1.0F};
  for (std::size_t row = 0; row < drawn.gallery.rows; ++row) {
    for (float& value : drawn.gallery.row(row)) value *= factors[row % 4];
  }
  for (float& value : drawn.queries.row(0)) value *= 0x1p-140F;
  CHECK(same(before, score_retrieval(drawn.task, kOptions)));
}

TEST_CASE("what cannot be measured is said with its place") {
  Case drawn;
  fill(drawn, 9, 5, 30, 2, true);
  RetrievalTask& task = drawn.task;
  RetrievalOptions options;
  const auto message = [&] {
    return error_message(ErrorCode::kInvalidArgument, [&] { score_retrieval(task, options); });
  };
  SECTION("a row of zeros") {
    std::ranges::fill(drawn.gallery.row(17), 0.0F);
    CHECK_THAT(message(), Contains("row 17 of the gallery is zero"));
  }
  SECTION("a row that is not finite") {
    drawn.queries.row(3)[kCoarseDim - 1] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THAT(message(), Contains("row 3 of the queries is not finite"));
    drawn.queries.row(3)[kCoarseDim - 1] = -std::numeric_limits<float>::infinity();
    CHECK_THAT(message(), Contains("row 3 of the queries is not finite"));
  }
  SECTION("shapes") {
    task.queries.cols = 8;
    CHECK_THAT(message(), Contains("8 dimensions") && Contains("16"));
    task.queries.cols = kCoarseDim;
    task.query_labels = task.query_labels.first(4);
    CHECK_THAT(message(), Contains("4 query labels for 5 queries"));
    task.query_labels = drawn.query_labels;
    task.gallery_labels = {};
    CHECK_THAT(message(), Contains("0 gallery labels for 30"));
    task.gallery_labels = drawn.gallery_labels;
    const std::vector<std::int64_t> self(6, -1);
    task.self = self;
    CHECK_THAT(message(), Contains("6") && Contains("for 5 queries"));
    task.self = {};
    task.queries.rows = 0;
    CHECK_THAT(message(), Contains("0 queries"));
  }
  SECTION("rows that the gallery does not have") {
    std::vector<std::int64_t> self{-1, 29, 0, 30, -1};
    task.self = self;
    CHECK_THAT(message(), Contains("query 3 names 30"));
    self[3] = -2;
    CHECK_THAT(message(), Contains("query 3 names -2"));
    task.self = {};
    std::vector<Rows> lists(5);
    lists[4] = {1, 31};
    task.ignored = lists;
    CHECK_THAT(message(), Contains("query 4 names 31 as an ignored row"));
    task.ignored = {};
    task.positives = lists;
    CHECK_THAT(message(), Contains("query 4 names 31 as a positive"));
  }
  SECTION("counts") {
    options.recall_at = {0, 1};
    CHECK_THAT(message(), Contains("recall at 0, 1"));
    options.recall_at = {5, 1};
    CHECK_THAT(message(), Contains("ascend"));
    options.recall_at = {1};
    options.precision_at = {2, 2};
    CHECK_THAT(message(), Contains("precision at 2, 2"));
    options.precision_at = {};
    options.knn = 0;
    CHECK_THAT(message(), Contains("knn"));
  }
  SECTION("nothing is right") {
    const std::vector<std::int32_t> labels(5, 99);
    task.query_labels = labels;
    CHECK_THAT(message(), Contains("no query has a right answer"));
  }
  SECTION("a metric there is not") {
    const RetrievalScores scores = score_retrieval(task);
    CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { scores.column("R@7"); }),
               Contains("R@7") && Contains("R@10, R@20"));
  }
}

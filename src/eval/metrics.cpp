// Retrieval metrics: the numbers, from where the right answers stand.
#include "vsearch/metrics.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <new>
#include <ranges>
#include <thread>
#include <utility>

#include "eval/cosines.h"
#include "eval/ranking.h"
#include "eval/right_answers.h"
#include "util/parallel.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

using eval::Ranking;
using eval::RightAnswers;

// What the cosines of the queries that a thread ranks together may take.
constexpr std::size_t kStripBytes = std::size_t{48} << 20;
// More of them are not faster.
constexpr std::size_t kMostTogether = 256;
// The last pieces of work should not leave a thread idle for long.
constexpr std::size_t kPiecesOfAThread = 4;

void check_counts(std::span<const std::uint32_t> at, std::string_view what) {
  const bool ascending = std::ranges::adjacent_find(at, std::ranges::greater_equal{}) == at.end();
  if (ascending && (at.empty() || at[0] > 0)) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} at {} cannot be measured: the counts must ascend, from 1 or more",
                          what, fmt::join(at, ", ")));
}

void check(const RetrievalTask& task, const RetrievalOptions& options) {
  if (task.queries.rows == 0 || task.gallery.rows == 0 || task.gallery.cols == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("nothing can be measured with {} queries and {} rows of {} dimensions "
                            "in the gallery",
                            task.queries.rows, task.gallery.rows, task.gallery.cols));
  }
  if (task.queries.cols != task.gallery.cols) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the queries have {} dimensions and the gallery has {}: encode both "
                            "with the same encoder",
                            task.queries.cols, task.gallery.cols));
  }
  check_counts(options.recall_at, "recall");
  check_counts(options.precision_at, "precision");
  if (options.knn == 0) {
    throw Error(ErrorCode::kInvalidArgument, "0 neighbours cannot vote: knn must be 1 or more");
  }
}

// Metrics of single queries, from their rankings. Threads: any.
class Measures {
 public:
  Measures(const RetrievalTask& task, const RetrievalOptions& options)
      : task_(task), options_(options) {
    discounts_.reserve(task.gallery.rows + 1);
    ideal_gains_.reserve(task.gallery.rows + 1);
    discounts_.push_back(0);
    ideal_gains_.push_back(0);
    for (std::size_t rank = 1; rank <= task.gallery.rows; ++rank) {
      discounts_.push_back(1.0 / std::log2(1.0 + static_cast<double>(rank)));
      ideal_gains_.push_back(ideal_gains_.back() + discounts_.back());
    }
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const std::uint32_t k : options_.recall_at) names.push_back(fmt::format("R@{}", k));
    for (const std::uint32_t k : options_.precision_at) names.push_back(fmt::format("P@{}", k));
    for (const char* const name : {"mAP", "mAP@R", "R-Prec", "nDCG", "MRR", "mMP@5"}) {
      names.emplace_back(name);
    }
    names.push_back(fmt::format("kNN@{}", options_.knn));
    return names;
  }

  // In the order of names().
  void write(const Ranking& ranking, std::span<const std::uint32_t> right,
             std::span<float> values) const {
    const std::vector<std::uint32_t>& ranks = ranking.right_ranks;
    if (ranks.empty()) {
      std::ranges::fill(values, std::numeric_limits<float>::quiet_NaN());
      return;
    }
    const auto count = static_cast<std::uint32_t>(ranks.size());
    std::size_t column = 0;
    const auto put = [&](double value) { values[column++] = static_cast<float>(value); };
    for (const std::uint32_t k : options_.recall_at) put(ranks[0] <= k ? 1 : 0);
    for (const std::uint32_t k : options_.precision_at) put(precision(ranks, k));
    put(average_precision(ranks));
    put(average_precision_at_r(ranks));
    put(precision(ranks, count));
    double gain = 0;
    for (const std::uint32_t rank : ranks) gain += discounts_[rank];
    put(gain / ideal_gains_[count]);
    put(1.0 / ranks[0]);
    put(precision(ranks, std::min(count, 5U)));
    put(neighbours_agree(ranking, right) ? 1 : 0);
  }

 private:
  static double precision(std::span<const std::uint32_t> ranks, std::uint32_t k) {
    const auto found = std::ranges::upper_bound(ranks, k) - ranks.begin();
    return static_cast<double>(found) / k;
  }

  double average_precision(std::span<const std::uint32_t> ranks) const {
    const bool trapezoid = task_.average_precision == AveragePrecision::kTrapezoid;
    const std::uint32_t cutoff =
        task_.cutoff == 0 ? std::numeric_limits<std::uint32_t>::max() : task_.cutoff;
    double sum = 0;
    for (std::size_t i = 0; i < ranks.size() && ranks[i] <= cutoff; ++i) {
      const double rank = ranks[i];
      const auto found = static_cast<double>(i);
      const double after = (found + 1) / rank;
      // The precision just before this answer.
      const double before = ranks[i] == 1 ? 1.0 : found / (rank - 1);
      sum += trapezoid ? (before + after) / 2 : after;
    }
    return sum / static_cast<double>(std::min<std::size_t>(ranks.size(), cutoff));
  }

  static double average_precision_at_r(std::span<const std::uint32_t> ranks) {
    double sum = 0;
    for (std::size_t i = 0; i < ranks.size() && ranks[i] <= ranks.size(); ++i) {
      sum += static_cast<double>(i + 1) / ranks[i];
    }
    return sum / static_cast<double>(ranks.size());
  }

  // Right answers vote together, wrong ones by label; those without a label together too.
  bool neighbours_agree(const Ranking& ranking, std::span<const std::uint32_t> right) const {
    constexpr std::int64_t kRight = -2;                       // no label
    std::vector<std::pair<std::int64_t, std::size_t>> votes;  // for what, and from which place
    for (const Neighbor& near : ranking.nearest | std::views::take(options_.knn)) {
      const std::int64_t wrong = task_.gallery_labels.empty() ? -1 : task_.gallery_labels[near.id];
      votes.emplace_back(std::ranges::binary_search(right, near.id) ? kRight : wrong, votes.size());
    }
    std::ranges::sort(votes);
    std::int64_t winner = -1;
    std::size_t most = 0;
    std::size_t first = 0;
    for (std::size_t begin = 0, end = 0; begin < votes.size(); begin = end) {
      while (end < votes.size() && votes[end].first == votes[begin].first) ++end;
      const std::size_t count = end - begin;
      if (count < most || (count == most && votes[begin].second > first)) continue;
      winner = votes[begin].first;
      most = count;
      first = votes[begin].second;
    }
    return winner == kRight;
  }

  const RetrievalTask& task_;
  const RetrievalOptions& options_;
  std::vector<double> discounts_;    // of ranks, from 1, in DCG
  std::vector<double> ideal_gains_;  // DCG if the first so many answers are the right ones
};

// Ranks strips of queries on several threads.
class Scoring {
 public:
  Scoring(const RetrievalTask& task, const RetrievalOptions& options, const Progress& progress)
      : task_(task),
        options_(options),
        progress_(progress),
        right_answers_(task),
        queries_(task.queries, "queries"),
        gallery_(task.gallery, "gallery"),
        cosines_(queries_, gallery_, {}),
        measures_(task, options) {
    if (!right_answers_.any()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "no query has a right answer in the gallery: check that queries and gallery are "
                  "labelled alike");
    }
  }

  RetrievalScores run() {
    const std::size_t queries = task_.queries.rows;
    scores_.names = measures_.names();
    scores_.values = Matrix(queries, scores_.names.size());
    scores_.right_answers.resize(queries);
    scores_.first_right.resize(queries);
    scores_.nearest_right.resize(queries);
    scores_.nearest_wrong.resize(queries);
    scores_.answers.resize(queries);
    const std::size_t threads =
        options_.threads > 0 ? options_.threads : std::max(1U, std::thread::hardware_concurrency());
    const std::size_t strip = queries_together(threads);
    report(0);
    util::share((queries + strip - 1) / strip, threads, [&](const auto& next) {
      eval::Cosines::Scratch scratch;
      std::vector<float> cosines(std::min(strip, queries) * task_.gallery.rows);
      eval::Ranker ranker(task_.gallery.rows, std::max(options_.knn, options_.keep_answers));
      RightAnswers::Rows rows;
      while (const std::optional<std::size_t> piece = next()) {
        const std::size_t first = *piece * strip;
        const std::size_t count = std::min(strip, queries - first);
        cosines_.compute(first, count, scratch, cosines);
        for (std::size_t i = 0; i < count; ++i) {
          right_answers_.find(first + i, rows);
          const auto row = std::span(cosines).subspan(i * task_.gallery.rows, task_.gallery.rows);
          write(first + i, ranker.rank(row, rows.right, rows.removed), rows.right);
        }
        report(count);
      }
    });
    if (progress_) progress_(queries, queries);
    return std::move(scores_);
  }

 private:
  std::size_t queries_together(std::size_t threads) const {
    const std::size_t lanes = cosines_.lanes();
    const std::size_t fair = task_.queries.rows / (threads * kPiecesOfAThread);
    const std::size_t in_memory = kStripBytes / sizeof(float) / task_.gallery.rows;
    return std::max(std::min({fair, in_memory, kMostTogether}) / lanes, std::size_t{1}) * lanes;
  }

  // `queries` more are done.
  void report(std::size_t queries) {
    const std::size_t done = done_ += queries;
    if (!progress_ || std::this_thread::get_id() != caller_) return;
    if (!progress_(done, task_.queries.rows)) {
      throw Error(ErrorCode::kCancelled, "the measuring was cancelled");
    }
  }

  void write(std::size_t query, const Ranking& ranking, std::span<const std::uint32_t> right) {
    measures_.write(ranking, right, scores_.values.row(query));
    scores_.right_answers[query] = static_cast<std::uint32_t>(right.size());
    scores_.first_right[query] = right.empty() ? 0 : ranking.right_ranks[0];
    scores_.nearest_right[query] = ranking.nearest_right;
    scores_.nearest_wrong[query] = ranking.nearest_wrong;
    for (const Neighbor& near : ranking.nearest | std::views::take(options_.keep_answers)) {
      scores_.answers[query].push_back({static_cast<std::uint32_t>(near.id), -near.distance,
                                        std::ranges::binary_search(right, near.id)});
    }
  }

  const RetrievalTask& task_;
  const RetrievalOptions& options_;
  const Progress& progress_;
  const RightAnswers right_answers_;
  const eval::UnitRows queries_;
  const eval::UnitRows gallery_;
  const eval::Cosines cosines_;
  const Measures measures_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<std::size_t> done_ = 0;
  RetrievalScores scores_;  // each thread writes those of its own queries
};

}  // namespace

std::size_t RetrievalScores::column(std::string_view name) const {
  const auto found = std::ranges::find(names, name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  throw Error(ErrorCode::kInvalidArgument, fmt::format("there is no metric called \"{}\", but: {}",
                                                       name, fmt::join(names, ", ")));
}

std::size_t RetrievalScores::counted() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(right_answers, [](std::uint32_t count) { return count > 0; }));
}

RetrievalScores score_retrieval(const RetrievalTask& task, const RetrievalOptions& options,
                                const Progress& progress) {
  check(task, options);
  try {
    return Scoring(task, options, progress).run();
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("there is not enough memory to rank {} rows for {} queries: use fewer "
                            "threads, or keep fewer answers",
                            task.gallery.rows, task.queries.rows));
  }
}

}  // namespace vsearch

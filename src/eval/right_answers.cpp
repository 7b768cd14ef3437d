#include "eval/right_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "vsearch/error.h"

namespace vsearch::eval {
namespace {

void check_size(std::string_view what, std::size_t size, std::string_view rows, std::size_t wanted,
                bool may_be_empty) {
  if (size == wanted || (size == 0 && may_be_empty)) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("there are {} {} for {} {}: give one each{}", size, what, wanted, rows,
                          may_be_empty ? ", or none at all" : ""));
}

}  // namespace

RightAnswers::RightAnswers(const RetrievalTask& task) : task_(task) {
  const std::size_t queries = task.queries.rows;
  const std::size_t gallery = task.gallery.rows;
  if (gallery > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the gallery has {} rows, more than 32 bits can number: take a part of "
                            "it",
                            gallery));
  }
  const bool by_label = task.positives.empty();
  check_size("query labels", task.query_labels.size(), "queries", queries, !by_label);
  check_size("gallery labels", task.gallery_labels.size(), "rows of the gallery", gallery,
             !by_label);
  check_size("rows of queries in the gallery", task.self.size(), "queries", queries, true);
  check_size("lists of positives", task.positives.size(), "queries", queries, true);
  check_size("lists of ignored rows", task.ignored.size(), "queries", queries, true);
  for (std::size_t query = 0; query < task.self.size(); ++query) {
    if (task.self[query] != -1) check_row(query, task.self[query], "its own row");
  }
  for (std::size_t query = 0; query < task.positives.size(); ++query) {
    for (const std::uint32_t row : task.positives[query]) check_row(query, row, "a positive");
  }
  for (std::size_t query = 0; query < task.ignored.size(); ++query) {
    for (const std::uint32_t row : task.ignored[query]) check_row(query, row, "an ignored row");
  }
  if (!by_label) return;
  for (std::size_t row = 0; row < gallery; ++row) {
    if (task.gallery_labels[row] == -1) continue;
    of_label_[task.gallery_labels[row]].push_back(static_cast<std::uint32_t>(row));
  }
}

void RightAnswers::check_row(std::size_t query, std::int64_t row, const char* what) const {
  if (row >= 0 && static_cast<std::uint64_t>(row) < task_.gallery.rows) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("query {} names {} as {}, but the rows of the gallery are 0 to {}", query,
                          row, what, task_.gallery.rows - 1));
}

void RightAnswers::find(std::size_t query, Rows& rows) const {
  rows.right.clear();
  rows.removed.clear();
  if (!task_.ignored.empty()) rows.removed = task_.ignored[query];
  if (task_.self_match == SelfMatch::kRemoved && !task_.self.empty() && task_.self[query] != -1) {
    rows.removed.push_back(static_cast<std::uint32_t>(task_.self[query]));
  }
  std::ranges::sort(rows.removed);
  const auto take = [&](const std::vector<std::uint32_t>& found) {
    std::ranges::set_difference(found, rows.removed, std::back_inserter(rows.right));
  };
  if (task_.positives.empty()) {
    const auto found = of_label_.find(task_.query_labels[query]);
    if (found != of_label_.end()) take(found->second);
  } else {
    std::vector<std::uint32_t> positives = task_.positives[query];
    std::ranges::sort(positives);
    positives.erase(std::ranges::unique(positives).begin(), positives.end());
    take(positives);
  }
}

bool RightAnswers::any() const {
  Rows rows;
  for (std::size_t query = 0; query < task_.queries.rows; ++query) {
    find(query, rows);
    if (!rows.right.empty()) return true;
  }
  return false;
}

}  // namespace vsearch::eval

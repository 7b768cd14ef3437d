// What is right, of a RetrievalTask: the rows of the gallery that answer each query.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "vsearch/metrics.h"

namespace vsearch::eval {

// Threads: any.
class RightAnswers {
 public:
  // `task` is borrowed. Throws kInvalidArgument (what has not one entry a row, a row that the
  // gallery does not have).
  explicit RightAnswers(const RetrievalTask& task);

  struct Rows {
    std::vector<std::uint32_t> right;    // ascending; none of them is removed
    std::vector<std::uint32_t> removed;  // ascending; takes no part in the ranking
  };
  void find(std::size_t query, Rows& rows) const;

  // Whether any query has a right answer.
  bool any() const;

 private:
  void check_row(std::size_t query, std::int64_t row, const char* what) const;

  const RetrievalTask& task_;
  std::unordered_map<std::int32_t, std::vector<std::uint32_t>> of_label_;  // ascending
};

}  // namespace vsearch::eval

// Measuring, while training goes on, with what is held out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "train/training_set.h"
#include "vsearch/metrics.h"
#include "vsearch/types.h"

namespace vsearch::training {

// At most `most` of them, evenly.
template <class Value>
std::vector<Value> evenly(const std::vector<Value>& all, std::size_t most) {
  if (all.size() <= most) return all;
  std::vector<Value> some;
  for (std::size_t i = 0; i < most; ++i) some.push_back(all[i * all.size() / most]);
  return some;
}

// Over the queries that have it; NaN if none has.
double mean_of(const RetrievalScores& scores, std::string_view metric);

// What is held out as a task of retrieval: the first `queries` pictures look among those from
// `gallery` on, which are all (gallery 0) or those after the queries.
struct HeldOutTask {
  std::vector<std::uint32_t> pictures;
  std::vector<std::int32_t> labels;  // [pictures]
  std::size_t queries = 0;
  std::size_t gallery = 0;
};
// Of at most about `most` pictures: of each class as many as of any other, if it has them, and if
// there are too many classes, of some. No picture if fewer than two classes have an answer.
HeldOutTask held_out_task(const TrainingSet& set,
                          std::size_t most = std::numeric_limits<std::size_t>::max());

// mAP and R@1; NaN where nothing is held out. `rows`: an embedding of each of task.pictures.
struct HeldOutScore {
  double map = 0;
  double recall_at_1 = 0;
};
HeldOutScore score_held_out(const HeldOutTask& task, MatrixView rows);
// What of `rows` is finite, and the task of these alone: files may be gone when they are encoded
// again.
std::pair<HeldOutTask, Matrix> finite_part(const HeldOutTask& task, MatrixView rows);

}  // namespace vsearch::training

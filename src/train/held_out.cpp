#include "train/held_out.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <utility>

namespace vsearch::training {

double mean_of(const RetrievalScores& scores, std::string_view metric) {
  const std::size_t column = scores.column(metric);
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < scores.values.rows; ++i) {
    const float value = scores.values.row(i)[column];
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count == 0 ? std::nan("") : sum / static_cast<double>(count);
}

HeldOutTask held_out_task(const TrainingSet& set, std::size_t most) {
  const auto by_class = [](const std::vector<std::uint32_t>& pictures,
                           const std::vector<std::int32_t>& labels) {
    std::map<std::int32_t, std::vector<std::uint32_t>> result;
    for (std::size_t i = 0; i < pictures.size(); ++i) result[labels[i]].push_back(pictures[i]);
    return result;
  };
  auto asking = by_class(set.held_out, set.held_out_labels);
  const auto learned =
      set.held_out_classes_are_new ? decltype(asking)() : by_class(set.pictures, set.labels);
  std::erase_if(asking, [&](const auto& entry) {
    return set.held_out_classes_are_new ? entry.second.size() < 2 : !learned.contains(entry.first);
  });
  HeldOutTask task;
  if (asking.size() < 2) return task;
  // Pictures of a class: those that ask, and as many that they look for.
  const std::size_t parts = set.held_out_classes_are_new ? 1 : 2;
  const std::size_t classes = std::clamp<std::size_t>(most / (2 * parts), 2, asking.size());
  const std::size_t of_class = std::max<std::size_t>(2 / parts, most / (classes * parts));
  std::vector<std::int32_t> chosen;
  for (const auto& [label, pictures] : asking) chosen.push_back(label);
  chosen = evenly(chosen, classes);
  const auto take = [&](const std::map<std::int32_t, std::vector<std::uint32_t>>& from) {
    for (const std::int32_t label : chosen) {
      for (const std::uint32_t picture : evenly(from.at(label), of_class)) {
        task.pictures.push_back(picture);
        task.labels.push_back(label);
      }
    }
  };
  take(asking);
  task.queries = task.pictures.size();
  if (set.held_out_classes_are_new) return task;
  task.gallery = task.queries;
  take(learned);
  return task;
}

std::pair<HeldOutTask, Matrix> finite_part(const HeldOutTask& task, MatrixView rows) {
  HeldOutTask part;
  Matrix there(0, rows.cols);
  for (std::size_t i = 0; i < rows.rows; ++i) {
    const auto row = rows.row(i);
    if (!std::ranges::all_of(row, [](float value) { return std::isfinite(value); })) continue;
    part.pictures.push_back(task.pictures[i]);
    part.labels.push_back(task.labels[i]);
    if (i < task.queries) ++part.queries;
    there.data.insert(there.data.end(), row.begin(), row.end());
    ++there.rows;
  }
  if (task.gallery > 0) part.gallery = part.queries;
  return {std::move(part), std::move(there)};
}

HeldOutScore score_held_out(const HeldOutTask& held_out, MatrixView rows) {
  HeldOutScore score{std::nan(""), std::nan("")};
  if (held_out.queries == 0 || held_out.gallery == rows.rows) return score;
  const std::span<const std::int32_t> labels(held_out.labels);
  RetrievalTask task;
  task.queries = {rows.data, held_out.queries, rows.cols};
  task.gallery = {rows.data + held_out.gallery * rows.cols, rows.rows - held_out.gallery,
                  rows.cols};
  task.query_labels = labels.first(held_out.queries);
  task.gallery_labels = labels.subspan(held_out.gallery);
  std::vector<std::int64_t> self(held_out.queries);
  std::iota(self.begin(), self.end(), std::int64_t{0});
  if (held_out.gallery == 0) task.self = self;
  RetrievalOptions options;
  options.recall_at = {1};
  const RetrievalScores scores = score_retrieval(task, options);
  score.map = mean_of(scores, "mAP");
  score.recall_at_1 = mean_of(scores, "R@1");
  return score;
}

}  // namespace vsearch::training

namespace vsearch {

Dataset held_out_part(const Dataset& dataset, const TrainOptions& options) {
  const training::TrainingSet set = training::choose_pictures(dataset, options);
  const std::vector<std::string> labels = training::labels_in_words(dataset, options.label_fields);
  Dataset part;
  part.name = dataset.name;
  part.root = dataset.root;
  part.domains = dataset.domains;
  Protocol protocol;
  protocol.name = "held out";
  const training::HeldOutTask task = training::held_out_task(set);
  for (std::size_t i = 0; i < task.pictures.size(); ++i) {
    const auto label = static_cast<std::size_t>(task.labels[i]);
    part.classes.resize(std::max(part.classes.size(), label + 1));
    part.classes[label] = labels[task.pictures[i]];
    part.pictures.push_back(dataset.pictures[task.pictures[i]]);
    part.pictures.back().label = task.labels[i];
    const auto number = static_cast<std::uint32_t>(i);
    if (i < task.queries) protocol.queries.push_back(number);
    if (i >= task.gallery) protocol.gallery.push_back(number);
  }
  part.protocols.push_back(std::move(protocol));
  return part;
}

}  // namespace vsearch

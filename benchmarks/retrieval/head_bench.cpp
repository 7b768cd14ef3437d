// Measures what an epoch of learning a head costs, from embeddings that are there already.
//
//   head_bench [ROWS [DIM [CLASSES [EPOCHS]]]]   1000000 384 1000 2; prints a row of JSON
//
// Embeddings are random, each near the centre of its class. Nothing is held out: an epoch's seconds
// do not count what is measured after it anyway.
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "train/head_training.h"
#include "train/recipe.h"
#include "train/training_set.h"
#include "vsearch/trainer.h"
#include "vsearch/types.h"

namespace {

using vsearch::Matrix;
namespace training = vsearch::training;

Matrix draw_embeddings(std::size_t rows, std::size_t dim, std::size_t classes) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  Matrix centres(classes, dim);
  for (float& value : centres.data) value = normal(random);
  // Drawing all of it would take longer than what is measured.
  std::vector<float> noise((1U << 20) + dim);
  for (float& value : noise) value = normal(random);
  Matrix drawn(rows, dim);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::span<const float> around = std::span(noise).subspan(random() % (1U << 20), dim);
    const auto centre = centres.row(row % classes);
    auto values = drawn.row(row);
    for (std::size_t d = 0; d < dim; ++d) values[d] = centre[d] + 2 * around[d];
  }
  return drawn;
}

training::TrainingSet labelled(std::size_t rows, std::size_t classes) {
  training::TrainingSet set;
  set.pictures.resize(rows);
  std::iota(set.pictures.begin(), set.pictures.end(), 0U);
  for (std::size_t row = 0; row < rows; ++row) {
    set.labels.push_back(static_cast<std::int32_t>(row % classes));
  }
  for (std::size_t label = 0; label < classes; ++label) {
    set.classes.push_back(std::to_string(label));
  }
  return set;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::size_t otherwise) {
    return argc > i ? std::stoul(argv[i]) : otherwise;
  };
  const std::size_t rows = argument(1, 1'000'000);
  const std::size_t dim = argument(2, 384);
  const std::size_t classes = argument(3, 1'000);
  vsearch::TrainOptions options;
  options.epochs = static_cast<std::uint32_t>(argument(4, 2));
  const training::Recipe recipe = training::make_recipe(options);
  const Matrix embeddings = draw_embeddings(rows, dim, classes);
  const training::TrainingSet set = labelled(rows, classes);

  vsearch::TrainReport report;
  const auto began = std::chrono::steady_clock::now();
  training::train_head(set, embeddings, options, recipe, {}, report);
  const double all =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::vector<double> epochs;
  for (const vsearch::TrainEpoch& epoch : report.epochs) {
    if (epoch.epoch > 0) epochs.push_back(epoch.seconds);
  }
  const nlohmann::ordered_json row{
      {"what", "head"},
      {"rows", rows},
      {"dim", dim},
      {"classes", classes},
      {"batch", recipe.batch_size},
      {"threads", at::get_num_threads()},
      {"epoch_s", epochs},
      {"before_s", all - std::accumulate(epochs.begin(), epochs.end(), 0.0)},
      {"loss", report.epochs.back().loss}};
  std::puts(row.dump().c_str());
  return 0;
}

// Heads that are computed at once, and hidden units beside a learned one.
#include "train/head_maps.h"

#include <torch/script.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <string>

#include "support/errors.h"
#include "support/tuning_bench.h"
#include "train/head_training.h"
#include "train/recipe.h"
#include "train/tensors.h"
#include "vsearch/encoder.h"
#include "vsearch/trainer.h"

using Catch::Matchers::Contains;
using vsearch::Dataset;
using vsearch::ErrorCode;
using vsearch::HeadKind;
using vsearch::TrainDepth;
using vsearch::TrainOptions;
using vsearch::TrainReport;
using vsearch_test::error_message;
using vsearch_test::TuningBench;
namespace fs = std::filesystem;
namespace training = vsearch::training;

namespace {

// Rows of length 1 that vary more in some directions than in others, about a mean.
at::Tensor stretched_rows(std::int64_t rows, std::int64_t dim) {
  torch::manual_seed(7);
  const at::Tensor widths = at::linspace(1, 0.1, dim);
  const at::Tensor turned = std::get<0>(at::linalg_qr(at::randn({dim, dim})));
  const at::Tensor drawn = (at::randn({rows, dim}) * widths).matmul(turned) + 0.5;
  return drawn / drawn.norm(2, 1, true);
}

at::Tensor covariance_of(const at::Tensor& rows) {
  const at::Tensor centred = (rows - rows.mean(0)).to(at::kDouble);
  return centred.t().matmul(centred) / static_cast<double>(rows.size(0));
}

// By the package, of all pictures of the bench.
at::Tensor embed(const TuningBench& bench, const fs::path& package) {
  std::vector<std::uint32_t> all(bench.dataset.pictures.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  return training::rows_of(
      vsearch::embed_dataset(*vsearch::load_encoder(package), bench.dataset).rows, all);
}

// What no linear map tells apart: the class is whether the first two numbers have the same sign.
struct Exclusive {
  explicit Exclusive(std::uint32_t rows) : embeddings(rows, 8) {
    torch::manual_seed(5);
    const at::Tensor drawn = at::randn({rows, 8}) * 0.2;
    const auto values = drawn.accessor<float, 2>();
    set.classes = {"different", "same"};
    for (std::uint32_t row = 0; row < rows; ++row) {
      for (std::int64_t d = 0; d < 8; ++d) embeddings.row(row)[d] = values[row][d];
      embeddings.row(row)[0] = row % 2 == 0 ? 1.0F : -1.0F;
      embeddings.row(row)[1] = row / 2 % 2 == 0 ? 1.0F : -1.0F;
      const std::int32_t label = row % 2 == row / 2 % 2 ? 1 : 0;
      const bool is_held_out = row % 5 == 4;
      (is_held_out ? set.held_out : set.pictures).push_back(row);
      (is_held_out ? set.held_out_labels : set.labels).push_back(label);
    }
  }

  double map_with(std::uint32_t hidden) const {
    TrainOptions options;
    options.hidden = hidden;
    options.batch_size = 32;
    options.head_rate = 0.01;
    TrainReport report;
    const training::Recipe recipe = training::make_recipe(options);
    training::train_head(set, embeddings, options, recipe, {}, report);
    return report.held_out_map;
  }

  vsearch::Matrix embeddings;
  training::TrainingSet set;
};

}  // namespace

TEST_CASE("principal directions keep the most of what varies", "[trainer][heads]") {
  const at::Tensor rows = stretched_rows(2000, 10);
  const at::Tensor kept = training::through_head(training::principal_head(rows, 4, false, 0), rows);
  const at::Tensor covariance = covariance_of(kept);
  const at::Tensor widths = covariance.diagonal();
  CHECK((covariance - widths.diag()).abs().max().item<double>() < 1e-6);  // they do not go together
  CHECK((widths.slice(0, 0, 3) > widths.slice(0, 1, 4)).all().item<bool>());
  CHECK(kept.mean(0).abs().max().item<double>() < 1e-5);
  // As eigenvalues have it, up to the one scale of the map.
  const at::Tensor expected = std::get<0>(at::linalg_eigh(covariance_of(rows))).slice(0, 6).flip(0);
  CHECK(at::allclose(widths / widths[0], expected / expected[0], 1e-3, 1e-6));
}

TEST_CASE("whitened principal directions are as wide as each other", "[trainer][heads]") {
  const at::Tensor rows = stretched_rows(2000, 10);
  const auto widths = [&](bool whitens, double shrinkage) {
    const training::Head head = training::principal_head(rows, 10, whitens, shrinkage);
    const at::Tensor found = covariance_of(training::through_head(head, rows)).diagonal();
    return found / found.mean();
  };
  CHECK(at::allclose(widths(true, 0), at::ones({10}, at::kDouble), 1e-3));
  CHECK_FALSE(at::allclose(widths(true, 0.5), at::ones({10}, at::kDouble), 0.1));
  CHECK(at::allclose(widths(true, 1), widths(false, 0), 1e-3));
}

TEST_CASE("a head of each kind is written, whatever it finds", "[trainer][heads]") {
  const TuningBench bench;
  TrainOptions options;
  options.held_out_classes = 0.25;
  options.dim = 3;
  std::uint32_t told = 0;
  const auto count_told = [&](const vsearch::TrainState& state) {
    if (state.data != nullptr) ++told;
    return true;
  };
  for (const char* const name : {"lda", "pca", "pca-whitening"}) {
    INFO(name);
    options.head = vsearch::find_head(name).value();
    const TrainReport report = bench.tune(options, count_told);
    CHECK(told == 1);
    told = 0;
    CHECK(report.head == options.head);
    CHECK(report.epochs.size() == 1);
    CHECK(report.best_epoch == 0);
    CHECK(report.held_out_map > 0);
    CHECK(vsearch::load_encoder(report.package)->info().dim == 3);
  }
  // Labels do not count: all that is learned from has the same directions.
  options.head = HeadKind::kPca;
  options.held_out_classes = 0;
  const at::Tensor before = embed(bench, bench.start);
  const at::Tensor after = embed(bench, bench.tune(options).package);
  const at::Tensor expected = training::apply_head(
      training::principal_head(before / before.norm(2, 1, true), 3, false, 0), before);
  CHECK(at::cosine_similarity(after, expected, 1).min().item<double>() > 0.9999);
}

TEST_CASE("hidden units tell apart what no linear map can", "[trainer][heads]") {
  const Exclusive task(600);
  const double linear = task.map_with(0);
  const double hidden = task.map_with(64);
  INFO("mAP " << linear << " without, " << hidden << " with hidden units");
  CHECK(linear < 0.9);  // each finds its own corner first
  CHECK(hidden > 0.95);
}

TEST_CASE("a package with hidden units gives what was learned", "[trainer][heads]") {
  const TuningBench bench;
  TrainOptions options;
  options.held_out_classes = 0;
  options.hidden = 12;
  options.epochs = 10;
  options.batch_size = 12;
  const TrainReport report = bench.tune(options);
  torch::jit::Module module = torch::jit::load(report.package.string());
  const auto weight = [&](const char* name) { return module.attr(name).toTensor(); };
  CHECK(weight("hidden_back").abs().max().item<double>() > 0);
  const training::Head head{
      weight("head_weight"), weight("head_bias"),
      training::HiddenUnits{weight("hidden_weight"), weight("hidden_bias"), weight("hidden_back")}};
  const at::Tensor expected = training::apply_head(head, embed(bench, bench.start));
  CHECK(at::allclose(embed(bench, report.package), expected, 1e-4, 1e-5));

  CHECK(bench.tune(options).fingerprint == report.fingerprint);
}

TEST_CASE("options of heads that do not go together are refused", "[trainer][heads]") {
  const TuningBench bench;
  const auto refused = [&](const TrainOptions& options) {
    return error_message(ErrorCode::kInvalidArgument, [&] { bench.tune(options); });
  };
  TrainOptions options;
  options.head = HeadKind::kPca;
  options.hidden = 8;
  CHECK_THAT(refused(options), Contains("hidden is 8") && Contains("pca"));
  options = {};
  options.head = HeadKind::kLda;
  options.dim = 7;
  options.held_out_classes = 0.25;
  CHECK_THAT(refused(options), Contains("dim is 7; 6 classes lie apart in 5 directions"));
  options = {};
  options.hidden = 8;
  options.depth = TrainDepth::kFull;
  CHECK_THAT(refused(options), Contains("take the depth head"));
  options.depth = TrainDepth::kHead;
  options.hidden = 1'000'000;
  CHECK_THAT(refused(options), Contains("hidden is 1000000"));
}

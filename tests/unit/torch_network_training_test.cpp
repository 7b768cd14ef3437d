// What a run of training over a network keeps, gives up and ends with.
#include <torch/script.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <limits>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/tuning_bench.h"
#include "train/network_training.h"
#include "vsearch/trainer.h"

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using vsearch::Dataset;
using vsearch::ErrorCode;
using vsearch::TrainDepth;
using vsearch::TrainOptions;
using vsearch::TrainReport;
using vsearch_test::error_message;
using vsearch_test::quick_tuning;
using vsearch_test::TuningBench;

TEST_CASE("what is held out is encoded in the precision of a step, on every thread", "[trainer]") {
  const TuningBench bench;
  const auto info = vsearch::load_encoder(bench.start)->info();
  const auto encoder = vsearch::training::encoder_of(torch::jit::load(bench.start.string()), info,
                                                     at::kCPU, "start", /*is_half=*/true);
  const vsearch::Matrix rows = vsearch::embed_dataset(*encoder, bench.dataset).rows;
  REQUIRE(rows.rows == 72);  // three batches
  for (const float value : rows.data) {
    REQUIRE(static_cast<float>(c10::BFloat16(value)) == value);
  }
}

TEST_CASE("a checkpoint of another run is not gone on from", "[trainer]") {
  TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.epochs = 1;
  options.loss = vsearch::Loss::kSubCentreArcFace;
  options.work = bench.folder / "work";
  const auto steps_of_run = [&] {
    std::uint64_t steps = 0;
    bench.tune(options, [&steps](const vsearch::TrainState& state) {
      if (state.epoch > 0) ++steps;
      return true;
    });
    return steps;
  };
  CHECK(steps_of_run() > 0);
  CHECK(steps_of_run() == 0);
  options.sub_centres = 2;  // class vectors of another shape
  CHECK(steps_of_run() > 0);
  options.weight_decay = 0.01;
  CHECK(steps_of_run() > 0);
  options.augmentation.erase = 0.5;
  CHECK(steps_of_run() > 0);
  bench.dataset.pictures.back().label =
      bench.dataset.pictures[bench.dataset.pictures.size() / 2].label;
  CHECK(steps_of_run() > 0);
  CHECK(steps_of_run() == 0);
  // Another picture of the same name.
  const Dataset& dataset = bench.dataset;
  fs::copy_file(dataset.root / dataset.pictures[1].path, dataset.root / dataset.pictures[0].path,
                fs::copy_options::overwrite_existing);
  CHECK(steps_of_run() > 0);
  // A field that batches are made by, put right.
  bench.dataset.fields.push_back({"kind", {"a", "b"}, std::vector<std::int32_t>(72, 0)});
  for (std::size_t i = 0; i < 36; ++i) bench.dataset.fields[0].of_picture[2 * i] = 1;
  options.batch_field = "kind";
  CHECK(steps_of_run() > 0);
  CHECK(steps_of_run() == 0);
  for (std::size_t i = 0; i < 8; ++i) bench.dataset.fields[0].of_picture[i] = 0;
  CHECK(steps_of_run() > 0);
}

TEST_CASE("a held-out picture that is gone is measured without", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  const Dataset held_out = vsearch::held_out_part(bench.dataset, options);
  const TrainReport report = bench.tune(options, [&](const vsearch::TrainState& state) {
    if (state.epoch == 2) fs::remove(held_out.root / held_out.pictures.front().path);
    return true;
  });
  CHECK(report.stopped.empty());
  REQUIRE(report.epochs.size() == 7);
  CHECK(report.epochs.back().held_out_map > 0.5);
}

TEST_CASE("what is stopped before its first epoch has ended writes nothing", "[trainer]") {
  const TuningBench bench;
  for (const TrainDepth depth : {TrainDepth::kHead, TrainDepth::kFull}) {
    CHECK_THAT(error_message(ErrorCode::kCancelled,
                             [&] {
                               bench.tune(quick_tuning(depth),
                                          [](const auto& state) { return state.epoch == 0; });
                             }),
               Contains("before anything was learned"));
    CHECK_FALSE(fs::exists(bench.folder / "tuned.vsm.pt"));
  }
}

TEST_CASE("training ends when it finds no better", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.rate = 1e-12;  // too little to change a weight
  options.patience = 2;
  const TrainReport report = bench.tune(options);
  CHECK(report.best_epoch == 0);
  CHECK(report.epochs.size() == 3);
  CHECK(report.stopped == "no better in 2 epochs");
  options.held_out_classes = 0;  // the last is the best then
  options.patience = std::numeric_limits<std::uint32_t>::max();
  const TrainReport whole = bench.tune(options);
  CHECK(whole.best_epoch == 6);
  CHECK(whole.stopped.empty());
}

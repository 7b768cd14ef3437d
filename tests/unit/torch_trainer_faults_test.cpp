// What training refuses, what stops it, and what it leaves then.
#include <torch/script.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/errors.h"
#include "support/trainable_package.h"
#include "support/tuning_bench.h"
#include "train/checkpoint.h"
#include "vsearch/trainer.h"

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::TrainDepth;
using vsearch::TrainOptions;
using vsearch::TrainReport;
using vsearch_test::error_message;
using vsearch_test::quick_tuning;
using vsearch_test::TuningBench;

TEST_CASE("a damaged checkpoint and a full disk are named", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.epochs = 2;
  options.work = bench.folder / "work";
  bench.tune("tuned.vsm.pt", options);
  fs::resize_file(options.work / "checkpoint.pt", 1000);
  CHECK_THAT(error_message(ErrorCode::kCorrupt, [&] { bench.tune("tuned.vsm.pt", options); }),
             Contains("checkpoint.pt") && Contains("delete it"));

  fs::remove(options.work / "checkpoint.pt");
  fs::create_symlink("/dev/full", options.work / "checkpoint.pt.unfinished");
  CHECK_THAT(error_message(ErrorCode::kIo, [&] { bench.tune("other.vsm.pt", options); }),
             Contains("checkpoint.pt") && Contains("room"));
  CHECK_FALSE(fs::exists(bench.folder / "other.vsm.pt"));
}

TEST_CASE("a folder of checkpoints is one run's alone, and looked at before anything",
          "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.epochs = 1;
  options.work = bench.folder / "work";
  const auto nothing = [](const vsearch::TrainState&) {
    FAIL("encodes pictures");
    return true;
  };
  {
    const vsearch::training::WorkFolder other(options.work);
    CHECK_THAT(
        error_message(ErrorCode::kBusy, [&] { bench.tune("tuned.vsm.pt", options, nothing); }),
        Contains("another run") && Contains(options.work.string()));
  }
  CHECK_NOTHROW(bench.tune("tuned.vsm.pt", options));
  options.work = bench.folder / "tuned.vsm.pt/work";
  CHECK_THAT(error_message(ErrorCode::kIo, [&] { bench.tune("other.vsm.pt", options, nothing); }),
             Contains("the folder for checkpoints cannot be made"));
}

TEST_CASE("pictures that go while they are learned from lose nothing else", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.held_out_classes = 0;
  options.epochs = 3;
  // None is read before its time.
  const auto remove_in = [&](const char* what) {
    return [&bench, what](const vsearch::TrainState& state) {
      if (state.epoch == 0 && state.step == state.steps) fs::remove_all(bench.pictures / what);
      return true;
    };
  };
  const TrainReport report = bench.tune("tuned.vsm.pt", options, remove_in("class-2/3.bmp"));
  CHECK(report.best_epoch == 3);
  CHECK(report.stopped.empty());
  REQUIRE(report.lost.size() == 1);
  CHECK_THAT(report.lost[0], Contains("class-2/3.bmp"));
  CHECK(nlohmann::json::parse(vsearch::to_json(report))["lost"].size() == 1);

  // All of them, with what is held out: what was learned by then is written.
  options = quick_tuning(TrainDepth::kFull);
  const TrainReport cut = bench.tune("cut.vsm.pt", options, [&](const vsearch::TrainState& state) {
    if (state.epoch == 2 && state.step == 1) {
      for (const auto& entry : fs::directory_iterator(bench.pictures.path())) {
        fs::remove_all(entry.path());
      }
    }
    return true;
  });
  CHECK_THAT(cut.stopped, Contains("learning ended in epoch 2") && Contains("no picture of"));
  CHECK(cut.best_epoch <= 1);
  CHECK_NOTHROW(vsearch::load_encoder(cut.package));
}

TEST_CASE("a run that is stopped leaves the best so far", "[trainer]") {
  const TuningBench bench;
  for (const TrainDepth depth : {TrainDepth::kHead, TrainDepth::kFull}) {
    const TrainReport report =
        bench.tune("tuned.vsm.pt", quick_tuning(depth), [](const vsearch::TrainState& state) {
          CHECK(state.epochs == 6);
          if (state.epoch == 0) {
            CHECK(state.steps == 72);  // pictures
            CHECK(state.data == nullptr);
            return true;
          }
          CHECK(state.steps == 4);
          CHECK(state.data->pictures == 54);
          CHECK(std::isfinite(state.loss));
          return state.epoch < 3;
        });
    CHECK_THAT(report.stopped, Contains("asked to stop in epoch 3"));
    CHECK(report.best_epoch <= 2);
    CHECK_NOTHROW(vsearch::load_encoder(report.package));
  }
}

TEST_CASE("a loss that is no number ends training with the best before it", "[trainer]") {
  const TuningBench bench;
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.clip_gradients = 0;
  options.rate = 1;
  options.warm_up = 0;
  torch::jit::Module network = vsearch_test::network_of_blocks();
  network.define(
      "def forward(self, x):\n"
      "    return x\n");
  // Grows without bounds as soon as the stem's weights do.
  torch::jit::Module unstable("Unstable");
  unstable.register_module("inner", network);
  unstable.define(
      "def encode_image(self, x):\n"
      "    return torch.exp(torch.pow(self.inner.encode_image(x), 3))\n");
  nlohmann::json description = vsearch_test::manifest();
  description["dim"] = 8;
  description["outputs"] = {{"embedding", 8}};
  const fs::path start =
      vsearch_test::save_with_golden_pairs(bench.folder / "unstable.vsm.pt", unstable, description);
  const TrainReport report =
      vsearch::train(start, bench.dataset, bench.folder / "tuned.vsm.pt", options);
  CHECK_THAT(report.stopped, Contains("no number in epoch") && Contains("lower rates"));
  CHECK_NOTHROW(vsearch::load_encoder(report.package));

  // In the only step of an epoch: no loss tells, but what is measured afterwards.
  options.batch_size = 72;
  const TrainReport at_end =
      vsearch::train(start, bench.dataset, bench.folder / "end.vsm.pt", options);
  CHECK_THAT(at_end.stopped, Contains("no number in epoch 1:") && Contains("lower rates"));
  CHECK(at_end.best_epoch == 0);
  CHECK_NOTHROW(vsearch::load_encoder(at_end.package));
}

TEST_CASE("what cannot be trained on is refused with the remedy", "[trainer]") {
  TuningBench bench;
  const auto refused = [&](TrainOptions options) {
    return error_message(ErrorCode::kInvalidArgument, [&] { bench.tune("tuned.vsm.pt", options); });
  };
  TrainOptions options = quick_tuning(TrainDepth::kHead);
  options.split = "holdout";
  CHECK_THAT(refused(options), Contains("holdout"));
  options = quick_tuning(TrainDepth::kHead);
  options.label_fields = {"colour"};
  CHECK_THAT(refused(options), Contains("colour"));
  options = quick_tuning(TrainDepth::kHead);
  options.rate = -1;
  CHECK_THAT(refused(options), Contains("rate is -1"));
  options = quick_tuning(TrainDepth::kHead);
  options.held_out_classes = 0.7;
  CHECK_THAT(refused(options), Contains("held_out_classes is 0.7"));
  options = quick_tuning(TrainDepth::kHead);
  options.loss = vsearch::Loss::kTriplet;
  options.batch_size = 10;
  CHECK_THAT(refused(options), Contains("batch size") && Contains("10"));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] { bench.tune("start.vsm.pt", quick_tuning(TrainDepth::kHead)); }),
             Contains("would replace its start"));
  CHECK_THAT(
      error_message(ErrorCode::kFileNotFound,
                    [&] { bench.tune("nowhere/tuned.vsm.pt", quick_tuning(TrainDepth::kHead)); }),
      Contains("no such folder"));

  for (auto& picture : bench.dataset.pictures) picture.label = 0;
  CHECK_THAT(refused(quick_tuning(TrainDepth::kHead)), Contains("two or more classes"));
  for (auto& picture : bench.dataset.pictures) picture.label = -1;
  CHECK_THAT(refused(quick_tuning(TrainDepth::kHead)), Contains("has a label"));
  CHECK_FALSE(fs::exists(bench.folder / "tuned.vsm.pt"));
}

TEST_CASE("a network whose weights are constants is refused, but takes a head", "[trainer]") {
  const TuningBench bench;
  torch::jit::Module frozen("Frozen");
  frozen.define(
      "def encode_image(self, x):\n"
      "    x = x.reshape([x.size(0), 3, 2, 3, 2, 4]).mean([3, 5]).flatten(1)\n"
      "    return x - 0.1\n");
  nlohmann::json description = vsearch_test::manifest();
  description["dim"] = 12;
  description["outputs"] = {{"embedding", 12}};
  const fs::path start =
      vsearch_test::save_with_golden_pairs(bench.folder / "frozen.vsm.pt", frozen, description);
  const auto tune = [&](TrainDepth depth) {
    return vsearch::train(start, bench.dataset, bench.folder / "tuned.vsm.pt", quick_tuning(depth));
  };
  CHECK_THAT(error_message(ErrorCode::kBadModel, [&] { tune(TrainDepth::kFull); }),
             Contains("constants") && Contains("--depth head") && Contains("frozen.vsm.pt"));
  CHECK_NOTHROW(tune(TrainDepth::kHead));
}

TEST_CASE("numbers of a network's steps are checked", "[trainer]") {
  const TuningBench bench;
  const auto refused = [&](const TrainOptions& options) {
    return error_message(ErrorCode::kInvalidArgument, [&] { bench.tune("no.vsm.pt", options); });
  };
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.accumulate = 0;
  CHECK_THAT(refused(options), Contains("accumulate is 0"));
  options.accumulate = 1;
  options.mean_decay = 1;
  CHECK_THAT(refused(options), Contains("mean_decay is 1"));
  options = quick_tuning(TrainDepth::kHead);
  options.accumulate = 2;
  options.rate = 0.01;
  CHECK_THAT(refused(options), Contains("rate (a head's is head_rate), accumulate: of a network"));
  options.rate.reset();
  options.keep_start = 0.5;
  CHECK_THAT(refused(options), Contains("keep_start, accumulate: of a network"));
}

// Adapters of low rank, and pictures that are parts of two.
#include "train/low_rank.h"

#include <torch/script.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/trainable_package.h"
#include "support/tuning_bench.h"
#include "train/cut_mix.h"
#include "train/network_training.h"
#include "vsearch/trainer.h"

using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::TrainDepth;
using vsearch::TrainOptions;
using vsearch::TrainReport;
using vsearch_test::error_message;
using vsearch_test::quick_tuning;
using vsearch_test::TempDir;
using vsearch_test::TuningBench;
namespace training = vsearch::training;

namespace {

TrainOptions of_rank(std::uint32_t rank) {
  TrainOptions options = quick_tuning(TrainDepth::kFull);
  options.lora_rank = rank;
  options.rate = 0.02;
  return options;
}

std::map<std::string, at::Tensor> parameters_of(const torch::jit::Module& network) {
  std::map<std::string, at::Tensor> parameters;
  for (const auto& [name, value] : network.named_parameters()) parameters[name] = value;
  return parameters;
}

// Counts singular values that are more than noise.
std::int64_t rank_of(const at::Tensor& matrix) {
  const at::Tensor values = at::linalg_svdvals(matrix);
  return (values > 1e-4 * values.max()).sum().item<std::int64_t>();
}

training::Batch batch_of(std::int64_t count) {
  training::Batch batch;
  batch.pixels = at::arange(count).to(at::kFloat).view({count, 1, 1, 1}).expand({count, 3, 8, 10});
  batch.labels = at::arange(count) * 10;
  return batch;
}

}  // namespace

TEST_CASE("adapters begin with the network as it is, and alone are learned", "[trainer][lora]") {
  const torch::jit::Module network = vsearch_test::network_of_blocks();
  const auto before = parameters_of(network.deepcopy());
  const auto chosen = training::choose_parameters(network, of_rank(2), "here", false);
  training::LowRank adapters(network, chosen, 2, 0.5, 1);
  // Four matrices and four biases.
  REQUIRE(adapters.learned().size() == 12);
  CHECK(adapters.learned()[0].name == "stem.weight.lora_down");
  CHECK(adapters.learned()[1].name == "stem.weight.lora_up");
  CHECK(adapters.learned()[2].name == "stem.bias");
  CHECK(adapters.learned()[2].rate_factor == Approx(0.5 * adapters.learned()[1].rate_factor));
  for (const training::TunedParameter& one : adapters.learned()) one.value.requires_grad_(true);

  const auto encode = [&] {
    const torch::jit::Module& called = network;
    return called.get_method("encode_image")({at::ones({2, 3, 6, 8})}).toTensor();
  };
  const at::Tensor plain = encode().detach();
  adapters.attach();
  const at::Tensor attached = encode();
  CHECK(at::allclose(attached, plain));
  attached.sum().backward();
  for (const training::TunedParameter& one : adapters.learned()) {
    INFO(one.name);
    CHECK(one.value.grad().defined());
  }
  {
    const at::NoGradGuard no_gradients;
    for (const training::TunedParameter& one : adapters.learned()) {
      if (one.name.ends_with("lora_up")) one.value.add_(0.1);
    }
  }
  adapters.attach();
  const at::Tensor moved = encode().detach();
  CHECK_FALSE(at::allclose(moved, plain));
  adapters.settle();
  CHECK(at::allclose(encode(), moved));
  for (const auto& [name, value] : parameters_of(network)) {
    INFO(name);
    CHECK(value.is_leaf());
    if (value.dim() == 2) CHECK(rank_of(value.detach() - before.at(name)) == 1);  // all ones
  }
}

TEST_CASE("a small weight is learned as it is", "[trainer][lora]") {
  const torch::jit::Module network = vsearch_test::network_of_blocks();
  const auto chosen = training::choose_parameters(network, of_rank(1), "here", false);
  // 16 x 12 numbers, and 7 x (16 + 12) in its adapters.
  const training::LowRank adapters(network, chosen, 7, 1, 1);
  CHECK(adapters.learned()[0].name == "stem.weight");
  CHECK(training::highest_rank(chosen) == 7);  // of the blocks, 16 x 16
  const training::LowRank none(network, chosen, 0, 1, 1);
  CHECK(none.learned().size() == chosen.size());
}

TEST_CASE("a network changes by no more than the rank says", "[trainer][lora]") {
  const TuningBench bench;
  TrainOptions options = of_rank(2);
  options.mix_with_start = false;
  const auto before = parameters_of(torch::jit::load(bench.start.string()));
  const TrainReport report = bench.tune(options);
  CHECK(report.epochs.back().loss < 0.9 * report.epochs[1].loss);
  CHECK(report.held_out_map > report.epochs[0].held_out_map);
  const auto after = parameters_of(torch::jit::load(report.package.string()));
  REQUIRE(after.size() == before.size());
  for (const auto& [name, value] : after) {
    INFO(name);
    CHECK_FALSE(at::equal(value, before.at(name)));
    if (value.dim() == 2) CHECK(rank_of(value - before.at(name)) <= 2);
  }
}

TEST_CASE("adapters go on where a run was interrupted", "[trainer][lora]") {
  const TuningBench bench;
  TrainOptions options = of_rank(2);
  options.mean_decay = 0.9;
  options.cut_mix = 0.5;
  const std::string whole = bench.tune(options).fingerprint;
  TempDir work;
  options.work = work.path();
  bench.tune(options, [](const vsearch::TrainState& state) { return state.epoch < 4; });
  std::uint32_t first = 0;
  const auto note_first = [&](const vsearch::TrainState& state) {
    if (first == 0) first = state.epoch;
    return true;
  };
  CHECK(bench.tune(options, note_first).fingerprint == whole);
  CHECK(first == 4);
}

TEST_CASE("what was learned by adapters is mixed with the start", "[trainer][lora]") {
  const TuningBench bench;
  const auto start = parameters_of(torch::jit::load(bench.start.string()));
  bool was_mixed = false;
  // Far enough that the way back pays, at one of these.
  for (const double rate : {0.05, 0.1, 0.2, 0.4, 0.8}) {
    TrainOptions options = of_rank(2);
    options.rate = rate;
    options.epochs = 2;
    const TrainReport mixed = bench.tune(options);
    if (mixed.best_epoch == 0 || mixed.mixture == 1) continue;
    was_mixed = true;
    const auto between = parameters_of(torch::jit::load(mixed.package.string()));
    options.mix_with_start = false;
    const TrainReport plain = bench.tune(options);
    CHECK(mixed.held_out_map > plain.held_out_map);
    for (const auto& [name, tuned] : parameters_of(torch::jit::load(plain.package.string()))) {
      INFO(name);
      CHECK(at::allclose(between.at(name), start.at(name).lerp(tuned, mixed.mixture), 1e-4, 1e-6));
    }
  }
  CHECK(was_mixed);
}

TEST_CASE("a rectangle of each picture becomes another's", "[trainer][cutmix]") {
  const training::Batch batch = batch_of(6);
  CHECK_FALSE(training::cut_mix(batch, 0, 1).has_value());
  double own = 0;
  std::size_t mixed_batches = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const auto mixed = training::cut_mix(batch, 0.5, seed);
    if (!mixed) continue;
    ++mixed_batches;
    own += mixed->own_share;
    for (std::int64_t row = 0; row < 6; ++row) {
      const std::int64_t other = mixed->others[row].item<std::int64_t>() / 10;
      REQUIRE(other != row);
      const at::Tensor pixels = mixed->pixels[row];
      const double from_other = pixels.eq(other).to(at::kDouble).mean().item<double>();
      REQUIRE(from_other == Approx(1 - mixed->own_share));
      REQUIRE(pixels.eq(row).to(at::kDouble).mean().item<double>() == Approx(mixed->own_share));
    }
  }
  CHECK(mixed_batches > 150);
  CHECK(mixed_batches < 250);
  // Half of the area in the mean, more where rectangles are cut off at the rim.
  CHECK(own / static_cast<double>(mixed_batches) > 0.5);
  CHECK(own / static_cast<double>(mixed_batches) < 0.8);
  CHECK(batch.pixels[3].eq(3).all().item<bool>());  // the batch is as it was
}

TEST_CASE("a network learns from mixed pictures", "[trainer][cutmix]") {
  const TuningBench bench;
  TrainOptions options = of_rank(0);
  options.rate = 0.01;
  const TrainReport plain = bench.tune(options);
  options.cut_mix = 1;
  const TrainReport mixed = bench.tune(options);
  CHECK(mixed.epochs.back().loss < mixed.epochs[1].loss);
  CHECK(mixed.epochs.back().loss > plain.epochs.back().loss);  // harder
}

TEST_CASE("adapters and mixed pictures are of networks and losses that know them",
          "[trainer][lora]") {
  const TuningBench bench;
  const auto refused = [&](const TrainOptions& options) {
    return error_message(ErrorCode::kInvalidArgument, [&] { bench.tune(options); });
  };
  TrainOptions options = of_rank(2);
  options.depth = TrainDepth::kHead;
  CHECK_THAT(refused(options), Contains("lora_rank: of a network"));
  options = of_rank(100);
  CHECK_THAT(refused(options), Contains("lora_rank is 100") && Contains("above 7"));
  options = of_rank(0);
  options.cut_mix = 2;
  CHECK_THAT(refused(options), Contains("cut_mix is 2"));
  options.cut_mix = 0.5;
  options.loss = vsearch::Loss::kSupCon;
  CHECK_THAT(refused(options), Contains("supcon compares pictures"));
}

// The steps of an optimiser, beside torch's.
#include "train/optimisation.h"

#include <ATen/ATen.h>
#include <torch/optim/adamw.h>
#include <torch/script.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "train/recipe.h"
#include "util/processor.h"
#include "vsearch/encoder.h"

namespace training = vsearch::training;
using training::Optimisation;
using training::OptimisationSettings;
using training::TunedParameter;

namespace {

// Pulls the values towards others, more strongly than the clipping lets it.
at::Tensor distance(const std::vector<at::Tensor>& values) {
  at::Tensor sum = at::zeros({});
  for (const at::Tensor& value : values) sum = sum + (value - 3).square().sum();
  return sum;
}

}  // namespace

TEST_CASE("AdamW steps as torch's does, with rates and decays of each parameter", "[trainer]") {
  at::manual_seed(1);
  const std::vector<at::Tensor> start{at::randn({7, 5}), at::randn({11}), at::randn({3, 2})};
  OptimisationSettings settings;
  settings.rate = 0.05;
  settings.weight_decay = 0.1;
  settings.clip_gradients = 0.5;
  constexpr double kSlower = 0.5;
  constexpr double kOthersRate = 0.2;

  std::vector<at::Tensor> ours;
  std::vector<at::Tensor> torchs;
  for (const at::Tensor& value : start) {
    ours.push_back(value.clone());
    torchs.push_back(value.clone().requires_grad_(true));
  }
  ours[2].requires_grad_(true);
  Optimisation optimisation({{"matrix", ours[0], kSlower}, {"bias", ours[1]}}, settings, {ours[2]},
                            kOthersRate);
  using torch::optim::AdamWOptions;
  std::vector<torch::optim::OptimizerParamGroup> groups;
  const auto add = [&](const at::Tensor& value, double decay) {
    groups.emplace_back(std::vector<at::Tensor>{value},
                        std::make_unique<AdamWOptions>(AdamWOptions(1).weight_decay(decay)));
  };
  add(torchs[0], settings.weight_decay);
  add(torchs[1], 0);
  add(torchs[2], settings.weight_decay);
  torch::optim::AdamW adamw(groups);

  constexpr std::uint64_t kSteps = 20;
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    optimisation.set_rates(step, kSteps);
    optimisation.step(distance(ours));

    const double factor = training::rate_factor(step, kSteps, settings.warm_up);
    const double rates[] = {settings.rate * kSlower, settings.rate, kOthersRate};
    for (std::size_t i = 0; i < 3; ++i) adamw.param_groups()[i].options().set_lr(rates[i] * factor);
    adamw.zero_grad();
    distance(torchs).backward();
    const at::Tensor length =
        (torchs[0].grad().square().sum() + torchs[1].grad().square().sum()).sqrt();
    const at::Tensor share = (settings.clip_gradients / length).clamp_max(1.0);
    for (const at::Tensor& value : {torchs[0], torchs[1]}) value.mutable_grad().mul_(share);
    adamw.step();
  }
  for (std::size_t i = 0; i < start.size(); ++i) {
    CAPTURE(i);
    CHECK_FALSE(at::allclose(ours[i], start[i], 0, 0.1));
    CHECK(at::allclose(ours[i], torchs[i], 1e-5, 1e-6));
  }
}

TEST_CASE("a parameter that a loss does not reach stays", "[trainer]") {
  OptimisationSettings settings;
  settings.rate = 0.1;
  settings.clip_gradients = 1;
  const at::Tensor reached = at::ones({4});
  const at::Tensor other = at::ones({2, 2});
  Optimisation optimisation({{"reached", reached}, {"other", other}}, settings);
  optimisation.set_rates(0, 2);
  optimisation.step(distance({reached}));
  CHECK(at::equal(other, at::ones({2, 2})));
  CHECK_FALSE(at::equal(reached, at::ones({4})));
}

TEST_CASE("a step of fewer batches than are gathered is of their mean", "[trainer]") {
  OptimisationSettings settings;
  settings.rate = 0.1;
  settings.optimiser = vsearch::Optimiser::kSgd;
  const auto moved = [&](std::uint32_t accumulate, int losses) {
    settings.accumulate = accumulate;
    const at::Tensor value = at::zeros({3});
    Optimisation optimisation({{"value", value}}, settings);
    optimisation.set_rates(0, 1);
    for (int i = 0; i < losses; ++i) optimisation.step(distance({value}));
    optimisation.finish_step();
    return value.detach();
  };
  const at::Tensor of_one = moved(1, 1);
  CHECK(of_one.abs().min().item<double>() > 0);
  CHECK(at::allclose(moved(8, 3), of_one));
  CHECK(at::allclose(moved(3, 3), of_one));
}

TEST_CASE("steps are in bfloat16 where that is faster, or as asked", "[trainer]") {
  using training::uses_bfloat16;
  using vsearch::Precision;
  const auto network_of = [](const std::vector<std::vector<std::int64_t>>& shapes) {
    torch::jit::Module network("network");
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      network.register_parameter("weight" + std::to_string(i), at::zeros(shapes[i]), false);
    }
    return network;
  };
  const torch::jit::Module transformer = network_of({{8, 3, 4, 4}, {32, 32}});
  const torch::jit::Module resnet = network_of({{8, 3, 7, 7}, {16, 8, 3, 3}, {8, 16}});
  const torch::jit::Module convnext = network_of({{8, 1, 7, 7}, {32, 8}, {8, 32}});
  const torch::jit::Module efficientnet = network_of({{32, 8, 1, 1}, {32, 1, 3, 3}, {8, 8}});

  const bool has_bfloat16 = vsearch::util::processor().avx512_bf16;
  for (const torch::jit::Module& network : {transformer, resnet, convnext}) {
    REQUIRE(uses_bfloat16(Precision::kAuto, network, at::kCPU) == has_bfloat16);
  }
  REQUIRE_FALSE(uses_bfloat16(Precision::kAuto, efficientnet, at::kCPU));
  for (const torch::jit::Module& network : {transformer, efficientnet}) {
    REQUIRE(uses_bfloat16(Precision::kBFloat16, network, at::kCPU));
    REQUIRE_FALSE(uses_bfloat16(Precision::kFloat32, network, at::kCPU));
  }
}

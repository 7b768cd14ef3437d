// What every run over a network's parameters has in common: the optimiser with its rates, clipping,
// running means of the weights, bfloat16, and an epoch of steps with what is told meanwhile.
#pragma once

#include <ATen/ATen.h>
#include <torch/optim/optimizer.h>
#include <torch/script.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "encoder/torch_pool.h"
#include "train/batches.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

// A parameter that is learned, and how fast beside the fastest.
struct TunedParameter {
  std::string name;
  at::Tensor value;
  double rate_factor = 1;
};

// Copies of their values, and the way back.
std::vector<at::Tensor> values_of(const std::vector<TunedParameter>& parameters);
void set_values(const std::vector<TunedParameter>& parameters,
                const std::vector<at::Tensor>& values);

at::Device device_of(Device device, std::uint32_t index);

// kAuto steps in bfloat16 where that is faster: on CPUs with AVX512-BF16, but for networks of
// depthwise separable convolutions (EfficientNet, MobileNet), and on CUDA from compute capability 8
// on (and with cuDNN).
bool uses_bfloat16(Precision precision, const torch::jit::Module& network, at::Device device);

double seconds_since(std::chrono::steady_clock::time_point began);

struct OptimisationSettings {
  double rate = 0;  // of the fastest parameter, at its highest
  double weight_decay = 0;
  double warm_up = 0;         // see rate_factor()
  double clip_gradients = 0;  // of the parameters together, to this length; 0: not
  Optimiser optimiser = Optimiser::kAdamW;
  std::uint32_t accumulate = 1;  // losses whose gradients make one step, in their mean
  double mean_decay = 0;         // of the running means of the weights, below 1; 0: none
};

// What of the parameters has one dimension (biases, norms) is not drawn towards 0.
class Optimisation {
 public:
  // `others` are learned beside them at `others_rate`, and their gradients are not clipped. Makes
  // all of `parameters` require gradients.
  Optimisation(std::vector<TunedParameter> parameters, const OptimisationSettings& settings,
               const std::vector<at::Tensor>& others = {}, double others_rate = 0);

  // Sets the rates of step `step` of `steps`, from 0; returns that of the fastest parameter.
  double set_rates(std::uint64_t step, std::uint64_t steps);
  // Takes a step down `loss`, or keeps its gradients until there are enough of them, unless it is
  // not finite; returns it.
  double step(const at::Tensor& loss);
  // Takes the step of gradients that are still kept, in their mean.
  void finish_step();
  // Whether everything that is learned is a number.
  bool is_finite() const;
  // The parameters and their running means (Polyak and Juditsky, 1992) change places, where there
  // are any: to measure with the means, and back.
  void swap_means();
  const std::vector<at::Tensor>& means() const { return means_; }

  // Of the tensors of a step, for the next one.
  const encoder::TensorPool& memory() const { return memory_; }

  const std::vector<TunedParameter>& parameters() const { return parameters_; }
  torch::optim::Optimizer& optimizer() { return *optimizer_; }

 private:
  void clip() const;
  void take_step();

  std::vector<TunedParameter> parameters_;
  OptimisationSettings settings_;
  std::vector<double> rates_;  // of each group, at its highest
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::uint32_t kept_ = 0;         // losses whose gradients wait for their step
  std::vector<at::Tensor> means_;  // [parameters], or empty
  // All that a step took the next one takes again.
  encoder::TensorPool memory_{std::numeric_limits<std::size_t>::max()};
};

struct EpochOutcome {
  double loss = 0;  // mean over the steps
  double rate = 0;  // at the end
  double seconds = 0;
  double pictures_per_second = 0;
  std::string stopped;  // why it ended before its end; empty: it did not
};

// Why a run ends whose weights or embeddings are no numbers after `epoch`: what
// TrainReport::stopped says.
std::string diverged(std::uint32_t epoch);
// The same where measuring after `epoch` failed: of embeddings that are no numbers, or pictures
// that are gone; the start was measured with the same ones. Empty: `error` is another.
std::string end_of_measuring(std::uint32_t epoch, const Error& error);

// One epoch of `epochs`: `take_step` for each of `batches`, with its number, from 0; `loader` reads
// them, and it calls Optimisation::step() and returns the loss. Ends where that or what
// was learned is no number, where `progress` says so, or after the first epoch where the loader
// throws; then what was learned in it is of no use.
// Throws kCancelled (asked to stop in the first epoch), what the loader and `take_step` throw.
EpochOutcome run_epoch(std::uint32_t epoch, std::uint32_t epochs,
                       std::vector<std::vector<std::uint32_t>> batches, BatchLoader& loader,
                       Optimisation& optimisation,
                       const std::function<double(const Batch&, std::size_t)>& take_step,
                       const TrainProgress& progress);

}  // namespace vsearch::training

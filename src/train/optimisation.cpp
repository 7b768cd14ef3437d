#include "train/optimisation.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <optional>
#include <utility>

#include "train/recipe.h"
#include "util/processor.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

std::string ended(std::uint32_t epoch, const Error& error) {
  return fmt::format("learning ended in epoch {}: {}", epoch, error.what());
}

constexpr char kDivergedRemedy[] =
    "the best epoch before it was kept; train with lower rates, or with precision fp32";

constexpr double kMomentum = 0.9;

// torch's AdamW, which takes a dozen operators a parameter, by the one that does the same.
class FusedAdamW : public torch::optim::AdamW {
 public:
  using AdamW::AdamW;

  at::Tensor step(LossClosure /*closure*/ = nullptr) override {
    const at::NoGradGuard no_gradients;
    for (torch::optim::OptimizerParamGroup& group : param_groups_) {
      const auto& options = static_cast<const torch::optim::AdamWOptions&>(group.options());
      std::vector<at::Tensor> values;
      std::vector<at::Tensor> gradients;
      std::vector<at::Tensor> means;
      std::vector<at::Tensor> squares;
      std::vector<at::Tensor> steps;
      for (const at::Tensor& value : group.params()) {
        if (!value.grad().defined()) continue;
        torch::optim::AdamWParamState& state = state_of(value);
        state.step(state.step() + 1);
        values.push_back(value);
        gradients.push_back(value.grad());
        means.push_back(state.exp_avg());
        squares.push_back(state.exp_avg_sq());
        steps.push_back(at::full({}, state.step(), value.options().dtype(at::kFloat)));
      }
      if (values.empty()) continue;
      const auto [beta1, beta2] = options.betas();
      at::_fused_adamw_(values, gradients, means, squares, {}, steps, options.lr(), beta1, beta2,
                        options.weight_decay(), options.eps(), /*amsgrad=*/false,
                        /*maximize=*/false);
    }
    return {};
  }

 private:
  torch::optim::AdamWParamState& state_of(const at::Tensor& value) {
    std::unique_ptr<torch::optim::OptimizerParamState>& state = state_[value.unsafeGetTensorImpl()];
    if (!state) {
      auto fresh = std::make_unique<torch::optim::AdamWParamState>();
      fresh->step(0);
      fresh->exp_avg(at::zeros_like(value));
      fresh->exp_avg_sq(at::zeros_like(value));
      state = std::move(fresh);
    }
    return static_cast<torch::optim::AdamWParamState&>(*state);
  }
};

// As EfficientNet and MobileNet are made: depthwise kernels, and most numbers in convolutions. A
// ConvNeXt has its numbers in matrices, a ResNet has no depthwise kernels: both learn about twice
// as fast in bfloat16, while EfficientNet-Lite0 loses a quarter of its speed.
bool is_depthwise_separable(const torch::jit::Module& network) {
  std::int64_t all = 0;
  std::int64_t of_convolutions = 0;
  bool has_depthwise = false;
  for (const at::Tensor& value : network.parameters()) {
    all += value.numel();
    if (value.dim() != 4) continue;
    of_convolutions += value.numel();
    has_depthwise |= value.size(0) > 1 && value.size(1) == 1 && value.size(2) > 1;
  }
  return has_depthwise && 2 * of_convolutions > all;
}

}  // namespace

std::vector<at::Tensor> values_of(const std::vector<TunedParameter>& parameters) {
  std::vector<at::Tensor> copies;
  for (const TunedParameter& parameter : parameters) {
    copies.push_back(parameter.value.detach().clone());
  }
  return copies;
}

void set_values(const std::vector<TunedParameter>& parameters,
                const std::vector<at::Tensor>& values) {
  const at::NoGradGuard no_gradients;
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].value.copy_(values[i]);
}

at::Device device_of(Device device, std::uint32_t index) {
  if (device == Device::kCpu) return at::kCPU;
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

bool uses_bfloat16(Precision precision, const torch::jit::Module& network, at::Device device) {
  if (precision != Precision::kAuto) return precision == Precision::kBFloat16;
  if (device.is_cpu()) return util::processor().avx512_bf16 && !is_depthwise_separable(network);
  // True from compute capability 8 on: what asks for that itself is in torch's CUDA library alone.
  const c10::DeviceGuard guard(device);
  return at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8();
}

double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

Optimisation::Optimisation(std::vector<TunedParameter> parameters,
                           const OptimisationSettings& settings,
                           const std::vector<at::Tensor>& others, double others_rate)
    : parameters_(std::move(parameters)), settings_(settings) {
  // A group for each rate.
  std::vector<torch::optim::OptimizerParamGroup> groups;
  const bool is_sgd = settings_.optimiser == Optimiser::kSgd;
  const auto add = [&](std::vector<at::Tensor> values, double rate, double decay) {
    std::unique_ptr<torch::optim::OptimizerOptions> group;
    if (is_sgd) {
      group = std::make_unique<torch::optim::SGDOptions>(
          torch::optim::SGDOptions(rate).momentum(kMomentum).nesterov(true).weight_decay(decay));
    } else {
      group = std::make_unique<torch::optim::AdamWOptions>(
          torch::optim::AdamWOptions(rate).weight_decay(decay));
    }
    groups.emplace_back(std::move(values), std::move(group));
    rates_.push_back(rate);
  };
  for (TunedParameter& parameter : parameters_) {
    parameter.value.requires_grad_(true);
    add({parameter.value}, settings_.rate * parameter.rate_factor,
        parameter.value.dim() > 1 ? settings_.weight_decay : 0.0);
  }
  if (!others.empty()) add(others, others_rate, settings_.weight_decay);
  if (is_sgd) {
    optimizer_ =
        std::make_unique<torch::optim::SGD>(groups, torch::optim::SGDOptions(settings_.rate));
  } else {
    optimizer_ = std::make_unique<FusedAdamW>(groups, torch::optim::AdamWOptions(settings_.rate));
  }
  if (settings_.mean_decay > 0) means_ = values_of(parameters_);
}

double Optimisation::set_rates(std::uint64_t step, std::uint64_t steps) {
  const double factor = rate_factor(step, steps, settings_.warm_up);
  for (std::size_t i = 0; i < rates_.size(); ++i) {
    optimizer_->param_groups()[i].options().set_lr(rates_[i] * factor);
  }
  return settings_.rate * factor;
}

double Optimisation::step(const at::Tensor& loss) {
  if (kept_ == 0) optimizer_->zero_grad();
  (loss / static_cast<double>(settings_.accumulate)).backward();
  const double value = loss.item<double>();
  if (!std::isfinite(value)) return value;
  if (++kept_ == settings_.accumulate) take_step();
  return value;
}

void Optimisation::finish_step() {
  if (kept_ == 0) return;
  // Each was divided by the number of those that were expected.
  const double missing = static_cast<double>(settings_.accumulate) / kept_;
  for (const torch::optim::OptimizerParamGroup& group : optimizer_->param_groups()) {
    for (const at::Tensor& value : group.params()) {
      if (value.grad().defined()) value.grad().mul_(missing);
    }
  }
  take_step();
}

bool Optimisation::is_finite() const {
  const at::NoGradGuard no_gradients;
  for (const torch::optim::OptimizerParamGroup& group : optimizer_->param_groups()) {
    for (const at::Tensor& value : group.params()) {
      if (!value.isfinite().all().item<bool>()) return false;
    }
  }
  return true;
}

void Optimisation::take_step() {
  kept_ = 0;
  if (settings_.clip_gradients > 0) clip();
  optimizer_->step();
  const at::NoGradGuard no_gradients;
  for (std::size_t i = 0; i < means_.size(); ++i) {
    means_[i].lerp_(parameters_[i].value, 1 - settings_.mean_decay);
  }
}

void Optimisation::swap_means() {
  if (means_.empty()) return;
  const std::vector<at::Tensor> last = values_of(parameters_);
  set_values(parameters_, means_);
  for (std::size_t i = 0; i < means_.size(); ++i) means_[i].copy_(last[i]);
}

void Optimisation::clip() const {
  const at::NoGradGuard no_gradients;
  std::vector<at::Tensor> gradients;
  for (const TunedParameter& parameter : parameters_) {
    if (parameter.value.grad().defined()) gradients.push_back(parameter.value.grad());
  }
  if (gradients.empty()) return;
  const at::Tensor length = at::stack(at::_foreach_norm(gradients)).norm();
  at::_foreach_mul_(gradients, (settings_.clip_gradients / (length + 1e-6)).clamp_max(1.0));
}

std::string diverged(std::uint32_t epoch) {
  return fmt::format("what was learned became no number in epoch {}: {}", epoch, kDivergedRemedy);
}

std::string end_of_measuring(std::uint32_t epoch, const Error& error) {
  if (error.code() == ErrorCode::kBadModel) return diverged(epoch);
  return error.code() == ErrorCode::kBadImage ? ended(epoch, error) : std::string();
}

EpochOutcome run_epoch(std::uint32_t epoch, std::uint32_t epochs,
                       std::vector<std::vector<std::uint32_t>> batches, BatchLoader& loader,
                       Optimisation& optimisation,
                       const std::function<double(const Batch&, std::size_t)>& take_step,
                       const TrainProgress& progress) {
  const auto began = std::chrono::steady_clock::now();
  const std::size_t count = batches.size();
  const std::uint64_t steps = std::uint64_t{epochs} * count;
  loader.start(epoch, std::move(batches));
  EpochOutcome outcome;
  std::size_t pictures = 0;
  std::size_t batch_size = 0;
  for (std::size_t step = 0; step < count; ++step) {
    std::optional<Batch> batch;
    try {
      batch = loader.next();
    } catch (const Error& error) {
      // Of a disk that went, most of a batch cannot be read: what was learned is not lost.
      if (epoch == 1 || error.code() == ErrorCode::kOutOfMemory) throw;
      outcome.stopped = ended(epoch, error);
      return outcome;
    }
    if (!batch) break;
    // Its tensors are of other sizes: what is kept for the last one's is of no use to it.
    if (std::exchange(batch_size, batch->rows.size()) != batch->rows.size()) {
      optimisation.memory().release();
    }
    const std::uint64_t done = (epoch - 1) * count + step;
    outcome.rate = optimisation.set_rates(done, steps);
    const double loss = [&] {
      const encoder::TensorPool::Use memory(optimisation.memory());
      return take_step(*batch, step);
    }();
    if (!std::isfinite(loss)) {
      outcome.stopped = fmt::format("the loss became no number in epoch {}, step {}: {}", epoch,
                                    step + 1, kDivergedRemedy);
      return outcome;
    }
    outcome.loss += loss;
    pictures += batch->rows.size();
    const double each = seconds_since(began) / static_cast<double>(step + 1);
    if (progress && !progress({epoch, epochs, step + 1, count, loss,
                               each * static_cast<double>(steps - done - 1)})) {
      if (epoch == 1) {
        throw Error(ErrorCode::kCancelled, "asked to stop before anything was learned");
      }
      outcome.stopped = fmt::format("asked to stop in epoch {}", epoch);
      return outcome;
    }
  }
  optimisation.finish_step();
  if (!optimisation.is_finite()) {
    outcome.stopped = diverged(epoch);
    return outcome;
  }
  outcome.loss /= static_cast<double>(count);
  outcome.seconds = seconds_since(began);
  outcome.pictures_per_second = static_cast<double>(pictures) / outcome.seconds;
  return outcome;
}

}  // namespace vsearch::training

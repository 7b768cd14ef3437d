#include "train/step_network.h"

#include "train/training_operators.h"

namespace vsearch::training {

torch::jit::Module step_network(const torch::jit::Module& start, at::Device device) {
  torch::jit::Module network = [&] {
    const at::NoGradGuard no_gradients;
    return start.clone();
  }();
  use_training_operators(network);
  network.eval();
  network.to(device);
  for (const auto& parameter : network.named_parameters()) {
    parameter.value.requires_grad_(false);
  }
  return network;
}

torch::jit::Module with_parameters_of(const torch::jit::Module& start,
                                      const torch::jit::Module& learned) {
  const at::NoGradGuard no_gradients;
  torch::jit::Module result = start.clone();
  result.eval();
  const auto values = learned.named_parameters();
  auto value = values.begin();
  for (const auto& parameter : result.named_parameters()) {
    parameter.value.requires_grad_(false);
    parameter.value.copy_((*value).value);
    ++value;
  }
  return result;
}

}  // namespace vsearch::training

// The copy of a package's network that steps are taken with.
#pragma once

#include <torch/script.h>

namespace vsearch::training {

// On `device`, in evaluation mode, computing with the operators of training. Its parameters are
// leaves, which those of a package need not be, and none asks for a gradient yet.
torch::jit::Module step_network(const torch::jit::Module& start, at::Device device);

// `start`, on the CPU, with the parameters of `learned`, which is a copy of it: what a package is
// made of, since operators of training cannot be saved.
torch::jit::Module with_parameters_of(const torch::jit::Module& start,
                                      const torch::jit::Module& learned);

}  // namespace vsearch::training

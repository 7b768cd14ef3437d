// Operators that make a step on the CPU faster, put where a network calls those of torch. Their
// results and gradients are the same but for rounding; where they do not fit (another device,
// another precision, masks) they call torch's.
#pragma once

#include <torch/script.h>

namespace vsearch::training {

// For a network whose code is its own (module.clone()) and that has not run yet. It cannot be saved
// afterwards: what is to be written needs its weights in a module with the code as it was.
void use_training_operators(const torch::jit::Module& network);

}  // namespace vsearch::training

// Operators of our own in place of functions of the fast forms.
#pragma once

#include <torch/script.h>

namespace vsearch::encoder {

// Replaces every call of a function `mix_heads`, `mix_heads_to_bytes` or `norm_to_bytes` by the
// operator of that name in vsearch::, which does the same in one pass over memory: see
// docs/models.md, "Fast forms". To be called before the graph has run.
void fuse_operators(torch::jit::Graph& graph);

// The same in all methods of `module` and its submodules.
void fuse_operators(const torch::jit::Module& module);

}  // namespace vsearch::encoder

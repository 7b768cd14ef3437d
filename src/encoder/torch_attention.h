// Attention of our own in place of the fast forms'.
#pragma once

#include <torch/script.h>

namespace vsearch::encoder {

// Replaces every call of a function `mix_heads` by the operator vsearch::mix_heads, which does the
// same in one pass over memory: see docs/models.md, "Fast forms". To be called before the graph has
// run.
void fuse_attention(torch::jit::Graph& graph);

// The same in all methods of `module` and its submodules.
void fuse_attention(const torch::jit::Module& module);

}  // namespace vsearch::encoder

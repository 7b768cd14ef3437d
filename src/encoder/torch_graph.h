// Operators of ours in the place of what a script calls.
#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/library.h>
#include <torch/script.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace vsearch::encoder {

// The operator and its inputs that replace a call; no operator: it stays. The result is a tensor.
struct Replacement {
  std::string name;
  std::vector<torch::jit::Value*> inputs;
};

using FindReplacement = std::function<Replacement(torch::jit::Node&)>;

void replace_calls(torch::jit::Graph& graph, const FindReplacement& find);

// In all methods of a module and its parts.
void replace_calls(const torch::jit::Module& module, const FindReplacement& find);

// Where operators of "vsearch" are to be registered, or null if `first`, one of them, already is:
// two copies of this library may be in one process, such as the Python module and libvsearch.so,
// and an operator can be registered once.
std::unique_ptr<torch::Library> library_unless_registered(const char* first);

}  // namespace vsearch::encoder

#include "encoder/torch_graph.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/jit/api/function_impl.h>

#include <optional>
#include <utility>

namespace vsearch::encoder {
namespace {

void replace_in(torch::jit::Block& block, torch::jit::Graph& graph, const FindReplacement& find) {
  std::vector<std::pair<torch::jit::Node*, Replacement>> calls;
  for (torch::jit::Node* const node : block.nodes()) {
    for (torch::jit::Block* const inner : node->blocks()) replace_in(*inner, graph, find);
    Replacement replacement = find(*node);
    if (!replacement.name.empty()) calls.emplace_back(node, std::move(replacement));
  }
  for (const auto& [call, replacement] : calls) {
    torch::jit::Node* const ours =
        graph.create(c10::Symbol::fromQualString(replacement.name), replacement.inputs, 1);
    ours->insertBefore(call);
    ours->output()->setType(c10::TensorType::get());
    call->output()->replaceAllUsesWith(ours->output());
    call->destroy();
  }
}

}  // namespace

void replace_calls(torch::jit::Graph& graph, const FindReplacement& find) {
  replace_in(*graph.block(), graph, find);
}

void replace_calls(const torch::jit::Module& module, const FindReplacement& find) {
  for (const torch::jit::Module& part : module.modules()) {
    for (const torch::jit::Method& method : part.get_methods()) {
      replace_calls(*method.graph(), find);
    }
  }
}

std::unique_ptr<torch::Library> library_unless_registered(const char* first) {
  if (c10::Dispatcher::singleton().findSchema({first, ""})) return nullptr;
  return std::make_unique<torch::Library>(torch::Library::FRAGMENT, "vsearch", std::nullopt,
                                          __FILE__, __LINE__);
}

}  // namespace vsearch::encoder

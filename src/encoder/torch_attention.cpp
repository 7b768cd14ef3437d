#include "encoder/torch_attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/library.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "encoder/attention.h"

namespace vsearch::encoder {
namespace {

constexpr char kOperator[] = "vsearch::mix_heads";
constexpr char kFunction[] = "mix_heads";

at::Tensor mix_heads_by_torch(const at::Tensor& qkv, std::int64_t heads, std::int64_t size) {
  const std::int64_t batch = qkv.size(0);
  const std::int64_t count = qkv.size(1);
  const at::Tensor split = qkv.view({batch, count, 3, heads, size}).permute({2, 0, 3, 1, 4});
  const auto part = [&](std::int64_t i) { return split[i].reshape({batch * heads, count, size}); };
  const at::Tensor weights = at::softmax(at::bmm(part(0), part(1).transpose(1, 2)), -1);
  return at::bmm(weights, part(2)).view({batch, heads, count, size}).transpose(1, 2);
}

// [B, N, 3 * heads * size], queries scaled, to [B, N, heads, size].
at::Tensor mix_heads(const at::Tensor& qkv, std::int64_t heads, std::int64_t size) {
  const std::int64_t batch = qkv.size(0);
  const std::int64_t count = qkv.size(1);
  const auto tokens = static_cast<std::size_t>(count);
  const auto head_size = static_cast<std::size_t>(size);
  const bool fits = qkv.scalar_type() == at::kBFloat16 && qkv.device().is_cpu() &&
                    qkv.is_contiguous() && qkv.size(2) == 3 * heads * size;
  if (!fits || !can_mix_heads(tokens, head_size)) return mix_heads_by_torch(qkv, heads, size);

  at::Tensor out = at::empty({batch, count, heads, size}, qkv.options());
  const auto* const from = static_cast<const std::uint16_t*>(qkv.const_data_ptr());
  auto* const to = static_cast<std::uint16_t*>(out.mutable_data_ptr());
  const std::int64_t dim = heads * size;
  const auto scratch_bytes = static_cast<std::int64_t>(mix_heads_scratch_bytes(tokens, head_size));
  at::parallel_for(0, batch * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    const c10::InferenceMode inference;
    const at::Tensor scratch = at::empty({scratch_bytes}, at::kByte);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first_token = i / heads * count;
      const std::int64_t column = i % heads * size;
      mix_heads_bf16(from + first_token * 3 * dim + column, static_cast<std::size_t>(3 * dim),
                     static_cast<std::size_t>(dim), tokens, head_size,
                     to + first_token * dim + column, static_cast<std::size_t>(dim),
                     scratch.mutable_data_ptr());
    }
  });
  return out;
}

void register_operator() {
  // Two copies of this library may be in one process, such as the Python module and libvsearch.so;
  // an operator can be registered once.
  static const auto registered = []() -> std::unique_ptr<torch::Library> {
    if (c10::Dispatcher::singleton().findSchema({kOperator, ""})) return nullptr;
    auto library = std::make_unique<torch::Library>(torch::Library::FRAGMENT, "vsearch",
                                                    std::nullopt, __FILE__, __LINE__);
    library->def("mix_heads(Tensor qkv, int heads, int size) -> Tensor", &mix_heads);
    return library;
  }();
  static_cast<void>(registered);
}

bool is_call_of_mix_heads(const torch::jit::Node& node) {
  if (node.kind() != c10::prim::CallFunction || node.inputs().size() != 4) return false;
  const auto type = node.input(0)->type()->cast<c10::FunctionType>();
  return type && type->function()->name() == kFunction;
}

void replace_in(torch::jit::Block& block, torch::jit::Graph& graph) {
  std::vector<torch::jit::Node*> calls;
  for (torch::jit::Node* const node : block.nodes()) {
    for (torch::jit::Block* const inner : node->blocks()) replace_in(*inner, graph);
    if (is_call_of_mix_heads(*node)) calls.push_back(node);
  }
  for (torch::jit::Node* const call : calls) {
    torch::jit::Node* const fused =
        graph.create(c10::Symbol::fromQualString(kOperator), call->inputs().slice(1), 1);
    fused->insertBefore(call);
    fused->output()->setType(c10::TensorType::get());
    call->output()->replaceAllUsesWith(fused->output());
    call->destroy();
  }
}

}  // namespace

void fuse_attention(torch::jit::Graph& graph) {
  register_operator();
  replace_in(*graph.block(), graph);
}

void fuse_attention(const torch::jit::Module& module) {
  for (const torch::jit::Module& part : module.modules()) {
    for (const torch::jit::Method& method : part.get_methods()) fuse_attention(*method.graph());
  }
}

}  // namespace vsearch::encoder

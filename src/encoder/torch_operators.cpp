#include "encoder/torch_operators.h"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "encoder/attention.h"
#include "encoder/norm_bytes.h"
#include "encoder/torch_graph.h"

namespace vsearch::encoder {
namespace {

// [..., C] in steps to bytes, value c * C / 4 + j of a row in byte 4 * j + c.
at::Tensor to_bytes_by_torch(const at::Tensor& steps) {
  const std::int64_t channels = steps.size(-1);
  return steps.round()
      .clamp_(0, 255)
      .to(at::kByte)
      .unflatten(-1, {4, channels / 4})
      .transpose(-1, -2)
      .flatten(-2)
      .contiguous();
}

at::Tensor mix_heads_by_torch(const at::Tensor& qkv, std::int64_t heads, std::int64_t size) {
  const std::int64_t batch = qkv.size(0);
  const std::int64_t count = qkv.size(1);
  const at::Tensor split = qkv.view({batch, count, 3, heads, size}).permute({2, 0, 3, 1, 4});
  const auto part = [&](std::int64_t i) { return split[i].reshape({batch * heads, count, size}); };
  const at::Tensor weights = at::softmax(at::bmm(part(0), part(1).transpose(1, 2)), -1);
  return at::bmm(weights, part(2)).view({batch, heads, count, size}).transpose(1, 2);
}

bool is_bfloat16_qkv(const at::Tensor& qkv, std::int64_t heads, std::int64_t size) {
  return qkv.scalar_type() == at::kBFloat16 && qkv.device().is_cpu() && qkv.is_contiguous() &&
         qkv.dim() == 3 && qkv.size(2) == 3 * heads * size;
}

struct Groups {
  std::size_t begin;
  std::size_t end;
};

// Calls `prepare(head, scratch)` and `mix(head, number of its first element in the output, groups,
// scratch)` for the heads of all pictures. Threads divide the groups of queries, so that three
// heads keep two threads busy.
template <class Prepare, class Mix>
void for_each_head(const at::Tensor& qkv, std::int64_t heads, std::int64_t size,
                   std::size_t scratch_bytes, const Prepare& prepare, const Mix& mix) {
  const std::int64_t count = qkv.size(1);
  const std::int64_t dim = heads * size;
  const auto groups = static_cast<std::int64_t>(query_groups(static_cast<std::size_t>(count)));
  const auto* const from = static_cast<const std::uint16_t*>(qkv.const_data_ptr());
  // Less than a quarter of a head is not worth getting its keys ready.
  const std::int64_t least = std::max<std::int64_t>(1, groups / 4);
  at::parallel_for(
      0, qkv.size(0) * heads * groups, least, [&](std::int64_t begin, std::int64_t end) {
        const c10::InferenceMode inference;
        const at::Tensor scratch = at::empty({static_cast<std::int64_t>(scratch_bytes)}, at::kByte);
        for (std::int64_t i = begin; i < end;) {
          const std::int64_t number = i / groups;
          const std::int64_t until = std::min(end, (number + 1) * groups);
          const std::int64_t first_token = number / heads * count;
          const std::int64_t column = number % heads * size;
          const Head head{from + first_token * 3 * dim + column, static_cast<std::size_t>(3 * dim),
                          static_cast<std::size_t>(dim), static_cast<std::size_t>(count),
                          static_cast<std::size_t>(size)};
          prepare(head, scratch.mutable_data_ptr());
          mix(head, first_token * dim + column,
              Groups{static_cast<std::size_t>(i - number * groups),
                     static_cast<std::size_t>(until - number * groups)},
              scratch.mutable_data_ptr());
          i = until;
        }
      });
}

// [B, N, 3 * heads * size], queries scaled, to [B, N, heads, size].
at::Tensor mix_heads(const at::Tensor& qkv, std::int64_t heads, std::int64_t size) {
  const auto tokens = static_cast<std::size_t>(qkv.size(1));
  const auto head_size = static_cast<std::size_t>(size);
  if (!is_bfloat16_qkv(qkv, heads, size) || !attention_bf16::supports(tokens, head_size)) {
    return mix_heads_by_torch(qkv, heads, size);
  }
  at::Tensor out = at::empty({qkv.size(0), qkv.size(1), heads, size}, qkv.options());
  auto* const to = static_cast<std::uint16_t*>(out.mutable_data_ptr());
  for_each_head(qkv, heads, size, attention_bf16::scratch_bytes(tokens, head_size),
                attention_bf16::prepare,
                [&](const Head& head, std::int64_t first, Groups groups, void* scratch) {
                  attention_bf16::mix(head, groups.begin, groups.end, to + first,
                                      static_cast<std::size_t>(heads * size), scratch);
                });
  return out;
}

// The same in steps of a byte, plus `offset`, as bytes [B, N, heads * size].
at::Tensor mix_heads_to_bytes(const at::Tensor& qkv, std::int64_t heads, std::int64_t size,
                              double offset) {
  const auto tokens = static_cast<std::size_t>(qkv.size(1));
  const auto head_size = static_cast<std::size_t>(size);
  if (!is_bfloat16_qkv(qkv, heads, size) || !attention_int8::supports(tokens, head_size)) {
    return to_bytes_by_torch(mix_heads(qkv, heads, size).to(at::kFloat).add_(offset)).flatten(2);
  }
  at::Tensor out = at::empty({qkv.size(0), qkv.size(1), heads * size}, at::kByte);
  auto* const to = static_cast<std::uint8_t*>(out.mutable_data_ptr());
  for_each_head(qkv, heads, size, attention_int8::scratch_bytes(tokens, head_size),
                attention_int8::prepare,
                [&](const Head& head, std::int64_t first, Groups groups, void* scratch) {
                  attention_int8::mix(head, static_cast<float>(offset), groups.begin, groups.end,
                                      to + first, static_cast<std::size_t>(heads * size), scratch);
                });
  return out;
}

// Layer norm over the last dimension, in steps of a byte.
at::Tensor norm_to_bytes_operator(const at::Tensor& x, const at::Tensor& weight,
                                  const at::Tensor& bias, double eps) {
  const std::int64_t dim = x.size(-1);
  const auto fits = [&](const at::Tensor& tensor) {
    return tensor.scalar_type() == at::kFloat && tensor.device().is_cpu() && tensor.is_contiguous();
  };
  if (!fits(x) || !fits(weight) || !fits(bias) || weight.numel() != dim || bias.numel() != dim ||
      !can_norm_to_bytes(static_cast<std::size_t>(dim))) {
    return to_bytes_by_torch(at::layer_norm(x, {dim}, weight, bias, eps));
  }
  at::Tensor out = at::empty(x.sizes(), at::kByte);
  const auto* const from = x.const_data_ptr<float>();
  auto* const to = static_cast<std::uint8_t*>(out.mutable_data_ptr());
  constexpr std::int64_t kLeastValues = 8192;  // that a thread of its own is worth
  at::parallel_for(
      0, x.numel() / dim, 1 + kLeastValues / dim, [&](std::int64_t begin, std::int64_t end) {
        norm_to_bytes(from + begin * dim, static_cast<std::size_t>(end - begin),
                      static_cast<std::size_t>(dim), weight.const_data_ptr<float>(),
                      bias.const_data_ptr<float>(), static_cast<float>(eps), to + begin * dim);
      });
  return out;
}

constexpr const char* kFunctions[] = {"mix_heads", "mix_heads_to_bytes", "norm_to_bytes"};

void register_operators() {
  static const auto registered = [] {
    auto library = library_unless_registered("vsearch::mix_heads");
    if (!library) return library;
    library->def("mix_heads(Tensor qkv, int heads, int size) -> Tensor", &mix_heads);
    library->def("mix_heads_to_bytes(Tensor qkv, int heads, int size, float offset) -> Tensor",
                 &mix_heads_to_bytes);
    library->def("norm_to_bytes(Tensor x, Tensor weight, Tensor bias, float eps) -> Tensor",
                 &norm_to_bytes_operator);
    return library;
  }();
  static_cast<void>(registered);
}

// The operator that does what `node` calls; none: an empty string.
std::string operator_for(const torch::jit::Node& node) {
  if (node.kind() != c10::prim::CallFunction) return {};
  const auto type = node.input(0)->type()->cast<c10::FunctionType>();
  if (!type) return {};
  for (const std::string name : kFunctions) {
    if (type->function()->name() != name) continue;
    const std::string full = "vsearch::" + name;
    const auto schema = c10::Dispatcher::singleton().findSchemaOrThrow(full.c_str(), "").schema();
    if (schema.arguments().size() + 1 == node.inputs().size()) return full;
  }
  return {};
}

Replacement replacement_of(torch::jit::Node& call) {
  std::string name = operator_for(call);
  if (name.empty()) return {};
  return {std::move(name), call.inputs().slice(1).vec()};
}

}  // namespace

void fuse_operators(torch::jit::Graph& graph) {
  register_operators();
  replace_calls(graph, replacement_of);
}

void fuse_operators(const torch::jit::Module& module) {
  register_operators();
  replace_calls(module, replacement_of);
}

}  // namespace vsearch::encoder

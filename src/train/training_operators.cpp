#include "train/training_operators.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "encoder/torch_graph.h"
#include "train/attention_gradient.h"
#include "train/gelu.h"

namespace vsearch::training {
namespace {

at::Tensor in_step_precision(const at::Tensor& tensor) {
  if (!at::autocast::is_autocast_enabled(at::kCPU)) return tensor;
  return at::autocast::cached_cast(at::autocast::get_autocast_dtype(at::kCPU), tensor, at::kCPU);
}

// With each row in one piece, and no two rows in the same place.
at::Tensor with_whole_rows(const at::Tensor& tensor) {
  const bool is_whole = tensor.stride(-1) == 1 && tensor.stride(-2) >= tensor.size(-1);
  return is_whole ? tensor : tensor.contiguous();
}

// Of rows [B, N, 3, heads, size].
Heads parts_of(const at::Tensor& rows) {
  const auto part = [&](std::int64_t i) { return rows.select(2, i).transpose(1, 2); };
  return {part(0), part(1), part(2)};
}

// Of rows alone, or as they are.
Heads heads_of(at::TensorList from) {
  return from.size() == 1 ? parts_of(from[0]) : Heads{from[0], from[1], from[2]};
}

bool takes_heads(const Heads& heads) {
  const auto fits = [&](const at::Tensor& part) {
    return part.device().is_cpu() && part.scalar_type() == at::kBFloat16 && part.dim() == 4 &&
           part.sizes() == heads.q.sizes();
  };
  return fits(heads.q) && fits(heads.k) && fits(heads.v) && heads.q.numel() > 0 &&
         supports_attention_gradient(static_cast<std::size_t>(heads.q.size(3)));
}

// What at::scaled_dot_product_attention() takes besides.
struct AttentionOptions {
  std::optional<at::Tensor> mask;
  double dropout;
  bool is_causal;
  std::optional<double> scale;
  bool shares_keys;

  bool is_plain() const { return !mask && dropout <= 0 && !is_causal; }
  double scale_for(std::int64_t size) const {
    return scale.value_or(1 / std::sqrt(static_cast<double>(size)));
  }
};

at::Tensor attention_by_torch(const Heads& heads, const AttentionOptions& options) {
  return at::scaled_dot_product_attention(heads.q, heads.k, heads.v, options.mask, options.dropout,
                                          options.is_causal, options.scale, options.shares_keys);
}

// Of q, k and v, or of rows that hold all three: then one gradient goes back, which need not be put
// together of three.
class Attention : public torch::autograd::Function<Attention> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::TensorList from,
                            double scale) {
    const AttentionOutcome outcome = attention(heads_of(from), scale);
    context->saved_data["scale"] = scale;
    std::vector<at::Tensor> saved = from.vec();
    saved.push_back(outcome.mixed);
    saved.push_back(outcome.log_sums);
    context->save_for_backward(std::move(saved));
    return outcome.mixed;
  }

  static std::vector<at::Tensor> backward(torch::autograd::AutogradContext* context,
                                          const std::vector<at::Tensor>& gradients) {
    std::vector<at::Tensor> saved = context->get_saved_variables();
    const AttentionOutcome outcome{saved[saved.size() - 2], saved.back()};
    saved.resize(saved.size() - 2);
    std::vector<at::Tensor> result;
    for (const at::Tensor& tensor : saved) {
      result.push_back(at::empty_like(tensor, at::MemoryFormat::Contiguous));
    }
    attention_gradients(with_whole_rows(gradients[0]), heads_of(saved), outcome,
                        context->saved_data["scale"].toDouble(), heads_of(result));
    result.emplace_back();  // of the scale
    return result;
  }
};

at::Tensor attention_operator(const at::Tensor& query, const at::Tensor& key,
                              const at::Tensor& value, const std::optional<at::Tensor>& mask,
                              double dropout, bool is_causal, std::optional<double> scale,
                              bool shares_keys) {
  const AttentionOptions options{mask, dropout, is_causal, scale, shares_keys};
  const Heads heads{in_step_precision(query), in_step_precision(key), in_step_precision(value)};
  if (!options.is_plain() || !takes_heads(heads)) {
    return attention_by_torch({query, key, value}, options);
  }
  const at::Tensor parts[] = {with_whole_rows(heads.q), with_whole_rows(heads.k),
                              with_whole_rows(heads.v)};
  return Attention::apply(at::TensorList(parts), options.scale_for(heads.q.size(3)));
}

// `rows`: [B, N, 3, heads, size].
at::Tensor attention_of_rows_operator(const at::Tensor& rows, const std::optional<at::Tensor>& mask,
                                      double dropout, bool is_causal, std::optional<double> scale,
                                      bool shares_keys) {
  const AttentionOptions options{mask, dropout, is_causal, scale, shares_keys};
  const at::Tensor in_step = in_step_precision(rows);
  if (!options.is_plain() || !takes_heads(parts_of(in_step))) {
    return attention_by_torch(parts_of(rows), options);
  }
  return Attention::apply(at::TensorList(in_step.contiguous()), options.scale_for(in_step.size(4)));
}

class Gelu : public torch::autograd::Function<Gelu> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
    context->save_for_backward({x});
    return gelu_values(x);
  }

  static std::vector<at::Tensor> backward(torch::autograd::AutogradContext* context,
                                          const std::vector<at::Tensor>& gradients) {
    return {gelu_gradient(gradients[0].contiguous(), context->get_saved_variables()[0])};
  }
};

at::Tensor gelu_operator(const at::Tensor& x, c10::string_view approximate) {
  if (approximate != "none" || !x.device().is_cpu() || x.scalar_type() != at::kBFloat16 ||
      !x.is_contiguous() || !supports_gelu()) {
    return at::gelu(x, approximate);
  }
  return Gelu::apply(x);
}

constexpr const char* kGelu = "vsearch::gelu";
constexpr const char* kAttention = "vsearch::attention";
constexpr const char* kAttentionOfRows = "vsearch::attention_of_rows";

void register_operators() {
  static const auto registered = [] {
    auto library = encoder::library_unless_registered(kAttention);
    if (!library) return library;
    const std::string options =
        "Tensor? attn_mask, float dropout_p, bool is_causal, float? scale, bool enable_gqa)";
    library->def(
        ("attention(Tensor query, Tensor key, Tensor value, " + options + " -> Tensor").c_str(),
        &attention_operator);
    library->def(("attention_of_rows(Tensor rows, " + options + " -> Tensor").c_str(),
                 &attention_of_rows_operator);
    library->def("gelu(Tensor self, str approximate) -> Tensor", &gelu_operator);
    return library;
  }();
  static_cast<void>(registered);
}

bool is_list(const torch::jit::Value& value, const std::vector<std::int64_t>& wanted) {
  if (const auto known = torch::jit::toIValue(&value)) {
    return known->isIntList() && known->toIntVector() == wanted;
  }
  const torch::jit::Node& list = *value.node();
  if (list.kind() != c10::prim::ListConstruct || list.inputs().size() != wanted.size()) {
    return false;
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto known = torch::jit::toIValue(list.input(i));
    if (!known || !known->isInt() || known->toInt() != wanted[i]) return false;
  }
  return true;
}

// [B, N, 3, heads, size] whose parts `call` attends with; null where it does something else.
torch::jit::Value* rows_of_parts(torch::jit::Node& call) {
  const torch::jit::Node& unpack = *call.input(0)->node();
  if (unpack.kind() != c10::prim::ListUnpack || unpack.outputs().size() != 3) return nullptr;
  for (std::size_t i = 0; i < 3; ++i) {
    if (call.input(i) != unpack.output(i)) return nullptr;
  }
  const torch::jit::Node& unbind = *unpack.input()->node();
  if (unbind.kind() != c10::aten::unbind) return nullptr;
  const auto dim = torch::jit::toIValue(unbind.input(1));
  if (!dim || dim->toInt() != 0) return nullptr;
  const torch::jit::Node& permute = *unbind.input(0)->node();
  if (permute.kind() != c10::aten::permute || !is_list(*permute.input(1), {2, 0, 3, 1, 4})) {
    return nullptr;
  }
  return permute.input(0);
}

encoder::Replacement replacement_of(torch::jit::Node& call) {
  std::vector<torch::jit::Value*> inputs = call.inputs().vec();
  if (call.kind() == c10::aten::gelu) return {kGelu, std::move(inputs)};
  if (call.kind() != c10::aten::scaled_dot_product_attention) return {};
  torch::jit::Value* const rows = rows_of_parts(call);
  if (!rows) return {kAttention, std::move(inputs)};
  constexpr std::ptrdiff_t kParts = 3;
  inputs.erase(inputs.begin(), inputs.begin() + kParts);
  inputs.insert(inputs.begin(), rows);
  return {kAttentionOfRows, std::move(inputs)};
}

}  // namespace

void use_training_operators(const torch::jit::Module& network) {
  register_operators();
  encoder::replace_calls(network, replacement_of);
  for (const torch::jit::Module& part : network.modules()) {
    for (const torch::jit::Method& method : part.get_methods()) {
      torch::jit::EliminateDeadCode(method.graph());  // the parts that nobody takes any more
    }
  }
}

}  // namespace vsearch::training

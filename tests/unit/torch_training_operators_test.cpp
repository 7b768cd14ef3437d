// Operators of a training step: values and gradients beside torch's.
#include "train/training_operators.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/script.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "encoder/torch_autocast.h"
#include "util/processor.h"

namespace training = vsearch::training;
using vsearch::encoder::HalfPrecision;

namespace {

// Attention as networks write it, and twice as others do.
constexpr const char* kOfRows = R"(
def forward(self, x: Tensor, heads: int, causal: bool):
    b, n, width = x.shape
    split = x.view(b, n, 3, heads, width // (3 * heads))
    q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
    mixed = torch.scaled_dot_product_attention(q, k, v, None, 0.0, causal)
    return mixed.transpose(1, 2).reshape([b, n, width // 3])
)";
constexpr const char* kOfParts = R"(
def forward(self, x: Tensor, heads: int, causal: bool):
    b, n, width = x.shape
    q, k, v = x.split(width // 3, 2)
    size = width // (3 * heads)
    mixed = torch.scaled_dot_product_attention(
        q.view(b, n, heads, size).transpose(1, 2),
        k.reshape([b, n, size, heads]).permute(0, 3, 1, 2),
        v.view(b, n, heads, size).transpose(1, 2), None, 0.0, causal, scale=0.3)
    return mixed.transpose(1, 2).reshape([b, n, width // 3])
)";
constexpr const char* kOneQuery = R"(
def forward(self, x: Tensor, heads: int, causal: bool):
    b, n, width = x.shape
    split = x.view(b, n, 3, heads, width // (3 * heads))
    q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
    return torch.scaled_dot_product_attention(q[:, :, :1], k, v, None, 0.0, causal)
)";

struct Outcome {
  at::Tensor value;
  at::Tensor gradient;
};

// In a step's precision, or in float32; by torch's operators, or by ours where there are.
Outcome outcome_of(const char* source, const at::Tensor& x, std::int64_t heads, bool is_causal,
                   bool is_half, bool by_ours) {
  torch::jit::Module module("Mixed");
  module.define(source);
  if (by_ours) training::use_training_operators(module);
  const at::Tensor from = x.clone().requires_grad_(true);
  const HalfPrecision half(is_half, at::kCPU);
  const at::Tensor value =
      module.forward({is_half ? from.to(at::kBFloat16) : from, heads, is_causal}).toTensor();
  // Not the same for all, so that what is in the wrong place shows.
  const at::Tensor weights =
      at::linspace(-1, 1, value.numel()).view(value.sizes()).to(value.scalar_type());
  (value * weights).sum().backward();
  return {value.detach().to(at::kFloat), from.grad()};
}

double error_of(const at::Tensor& found, const at::Tensor& right) {
  REQUIRE(found.sizes() == right.sizes());
  return ((found - right).norm() / right.norm()).item<double>();
}

// Ours are as near to float32 as torch's in the same precision.
void check_beside_torch(const char* source, const at::Tensor& x, std::int64_t heads,
                        bool is_causal) {
  const Outcome right = outcome_of(source, x, heads, is_causal, false, false);
  const Outcome torchs = outcome_of(source, x, heads, is_causal, true, false);
  const Outcome ours = outcome_of(source, x, heads, is_causal, true, true);
  CHECK(error_of(ours.value, right.value) < 0.02);
  CHECK(error_of(ours.gradient, right.gradient) < 0.02);
  CHECK(error_of(ours.value, right.value) < 1.2 * error_of(torchs.value, right.value) + 1e-4);
  CHECK(error_of(ours.gradient, right.gradient) <
        1.2 * error_of(torchs.gradient, right.gradient) + 1e-4);
}

std::string code_of(const torch::jit::Module& module) {
  std::string code;
  for (const torch::jit::Method& method : module.get_methods()) code += method.graph()->toString();
  return code;
}

}  // namespace

TEST_CASE("attention and its gradients are torch's", "[training_operators]") {
  at::manual_seed(1);
  struct Shape {
    std::int64_t pictures;
    std::int64_t tokens;
    std::int64_t heads;
    std::int64_t size;
  };
  // One block of queries, whole blocks, a few more; one token; sizes of all kinds of heads, and one
  // that our operator does not take.
  const Shape shape = GENERATE(Shape{2, 50, 2, 64}, Shape{3, 197, 3, 64}, Shape{1, 256, 2, 32},
                               Shape{1, 257, 1, 96}, Shape{1, 300, 1, 128}, Shape{2, 1, 2, 64},
                               Shape{2, 17, 2, 32}, Shape{2, 40, 2, 24});
  CAPTURE(shape.tokens, shape.size);
  const at::Tensor x =
      at::randn({shape.pictures, shape.tokens, 3 * shape.heads * shape.size}) * 1.5;
  check_beside_torch(kOfRows, x, shape.heads, false);
  check_beside_torch(kOfParts, x, shape.heads, false);
}

TEST_CASE("attention that is not of all tokens is left to torch", "[training_operators]") {
  at::manual_seed(2);
  const at::Tensor x = at::randn({2, 20, 3 * 2 * 64});
  check_beside_torch(kOfRows, x, 2, true);
  check_beside_torch(kOfParts, x, 2, true);
  check_beside_torch(kOneQuery, x, 2, false);
  // float32 is the same to the last bit.
  const Outcome torchs = outcome_of(kOfRows, x, 2, false, false, false);
  const Outcome ours = outcome_of(kOfRows, x, 2, false, false, true);
  CHECK(at::equal(ours.value, torchs.value));
  CHECK(at::equal(ours.gradient, torchs.gradient));
}

TEST_CASE("scores of all sizes keep attention finite", "[training_operators]") {
  at::manual_seed(3);
  const double size = GENERATE(0.0, 1e-3, 30.0, 300.0);
  CAPTURE(size);
  const at::Tensor x = (at::randn({1, 70, 3 * 64}) * size).to(at::kBFloat16).to(at::kFloat);
  const Outcome ours = outcome_of(kOfRows, x, 1, false, true, true);
  CHECK(ours.value.isfinite().all().item<bool>());
  CHECK(ours.gradient.isfinite().all().item<bool>());
  // Where one weight is 1, what is mixed is its value.
  if (size < 300) return;
  const Outcome right = outcome_of(kOfRows, x, 1, false, false, false);
  CHECK(error_of(ours.value, right.value) < 0.02);
}

TEST_CASE("attention does not depend on the number of threads", "[training_operators]") {
  at::manual_seed(4);
  const at::Tensor x = at::randn({5, 197, 3 * 3 * 64});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Outcome alone = outcome_of(kOfRows, x, 3, false, true, true);
  at::set_num_threads(3);
  const Outcome shared = outcome_of(kOfRows, x, 3, false, true, true);
  at::set_num_threads(before);
  CHECK(at::equal(alone.value, shared.value));
  CHECK(at::equal(alone.gradient, shared.gradient));
}

TEST_CASE("GELU and its gradient are torch's", "[training_operators]") {
  constexpr const char* kSource = R"(
def forward(self, x: Tensor, heads: int, causal: bool):
    return torch.gelu(x) if heads == 1 else torch.gelu(x, approximate="tanh")
)";
  // Odd numbers of values: the last do not fill a register.
  const std::int64_t count = GENERATE(1, 15, 1601);
  const std::int64_t kind = GENERATE(1, 2);
  CAPTURE(count, kind);
  const at::Tensor x = at::linspace(-8, 8, count);
  const at::Tensor rounded = x.to(at::kBFloat16).to(at::kFloat);
  const Outcome right = outcome_of(kSource, rounded, kind, false, false, false);
  const Outcome ours = outcome_of(kSource, rounded, kind, false, true, true);
  // A value of bfloat16 is exact to 2^-9 of itself; here one more of what it is multiplied with.
  const auto check = [](const at::Tensor& found, const at::Tensor& wanted) {
    CHECK(((found - wanted).abs() <= wanted.abs() / 120 + 2e-6).all().item<bool>());
  };
  check(ours.value, right.value);
  check(ours.gradient, right.gradient);
  // Not of a whole row in memory.
  const at::Tensor apart = at::stack({rounded, rounded}, 1).select(1, 0);
  const Outcome strided = outcome_of(kSource, apart, kind, false, true, true);
  CHECK(at::equal(strided.value, ours.value));
}

TEST_CASE("only a copy computes with the operators of training", "[training_operators]") {
  torch::jit::Module module("Attending");
  module.define(kOfRows);
  const torch::jit::Module copy = module.clone();
  training::use_training_operators(copy);
  CHECK(code_of(copy).find("vsearch::attention_of_rows") != std::string::npos);
  CHECK(code_of(copy).find("aten::unbind") == std::string::npos);
  CHECK(code_of(module).find("vsearch::") == std::string::npos);
}

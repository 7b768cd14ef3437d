// The fused attention, against torch's own in float32.
#include <ATen/ATen.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/runtime/interpreter.h>
#include <torch/jit.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <tuple>

#include "encoder/attention.h"
#include "encoder/torch_attention.h"

namespace {

// mix_heads as docs/models.md has it, and calls of it on both sides of a branch.
constexpr char kScript[] =
    "def mix_heads(qkv: Tensor, heads: int, size: int) -> Tensor:\n"
    "    split = qkv.view(qkv.size(0), qkv.size(1), 3, heads, size).permute(2, 0, 3, 1, 4)\n"
    "    weights = torch.softmax(split[0].matmul(split[1].transpose(2, 3)), -1)\n"
    "    return weights.matmul(split[2]).transpose(1, 2)\n"
    "def run(qkv: Tensor, heads: int, size: int, twice: bool) -> Tensor:\n"
    "    if twice:\n"
    "        return mix_heads(mix_heads(qkv, heads, size).repeat(1, 1, 3, 1).flatten(2),\n"
    "                         heads, size)\n"
    "    return mix_heads(qkv, heads, size)\n";

struct Script {
  explicit Script(bool fused) : unit(torch::jit::compile(kScript)) {
    if (fused) vsearch::encoder::fuse_attention(*graph());
  }
  std::shared_ptr<torch::jit::Graph> graph() {
    return torch::jit::toGraphFunction(unit->get_function("run")).graph();
  }
  at::Tensor run(const at::Tensor& qkv, std::int64_t heads, std::int64_t size, bool twice = false) {
    return unit->run_method("run", qkv, heads, size, twice).toTensor();
  }
  std::shared_ptr<torch::jit::CompilationUnit> unit;
};

std::size_t count_in(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

float largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kFloat) - b.to(at::kFloat)).abs().max().item<float>();
}

}  // namespace

TEST_CASE("every call of mix_heads becomes the operator") {
  Script plain(false);
  Script fused(true);
  CHECK(count_in(plain.graph()->toString(), "vsearch::mix_heads") == 0);
  CHECK(count_in(fused.graph()->toString(), "vsearch::mix_heads") == 3);
  CHECK(count_in(fused.graph()->toString(), "CallFunction") == 0);
  // In float32 the operator is torch's own arithmetic.
  at::manual_seed(1);
  const at::Tensor qkv = at::randn({2, 9, 3 * 2 * 4});
  CHECK(largest_difference(fused.run(qkv, 2, 4), plain.run(qkv, 2, 4)) < 1e-6F);
  CHECK(largest_difference(fused.run(qkv, 2, 4, true), plain.run(qkv, 2, 4, true)) < 1e-6F);
}

TEST_CASE("bfloat16 attention is as exact as its result can be") {
  Script plain(false);
  Script fused(true);
  at::manual_seed(2);
  // Shapes of real models, then edges: fewest tokens, whole and broken registers, sizes of all
  // kinds, and sizes that only torch computes.
  const auto [tokens, heads, size] =
      GENERATE(table<std::int64_t, std::int64_t, std::int64_t>({{198, 3, 64},
                                                                {257, 6, 64},
                                                                {50, 12, 64},
                                                                {196, 2, 72},
                                                                {6, 1, 32},
                                                                {5, 1, 32},
                                                                {7, 2, 96},
                                                                {16, 2, 128},
                                                                {17, 1, 160},
                                                                {64, 1, 64},
                                                                {65, 3, 32}}));
  CAPTURE(tokens, heads, size);
  at::Tensor qkv = at::randn({3, tokens, 3 * heads * size});
  // Scores of both signs far beyond what exp() takes without its highest score subtracted.
  qkv.slice(2, 0, heads * size).mul_(GENERATE(0.3, 3.0));
  const at::Tensor rounded = qkv.to(at::kBFloat16);
  const at::Tensor mixed = fused.run(rounded, heads, size);
  CHECK(mixed.scalar_type() == at::kBFloat16);
  const bool ours = vsearch::encoder::can_mix_heads(static_cast<std::size_t>(tokens),
                                                    static_cast<std::size_t>(size));
  // What is left to torch rounds the scores, too, so that only torch itself comes near it.
  const at::Tensor expected = plain.run(ours ? rounded.to(at::kFloat) : rounded, heads, size);
  REQUIRE(mixed.sizes() == expected.sizes());
  CHECK(largest_difference(mixed, expected) < 0.02F);  // half a digit, and the weights' rounding
}

TEST_CASE("extreme scores give weights of one and nothing") {
  Script fused(true);
  constexpr std::int64_t kTokens = 20;
  at::Tensor qkv = at::zeros({1, kTokens, 3 * 32});
  qkv.select(2, 0).fill_(300);                                           // every query
  qkv.select(2, 32).copy_(at::arange(kTokens).view({1, kTokens}) * 10);  // key i: score 3000 i
  qkv.slice(2, 64, 96).copy_(at::arange(kTokens).view({1, kTokens, 1}).expand({1, kTokens, 32}));
  const at::Tensor mixed = fused.run(qkv.to(at::kBFloat16), 1, 32).to(at::kFloat);
  CHECK(mixed.min().item<float>() == 19.0F);
  CHECK(mixed.max().item<float>() == 19.0F);
}

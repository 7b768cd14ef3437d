// The operators of our own, against torch's in float32.
#include <ATen/ATen.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/runtime/interpreter.h>
#include <torch/jit.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <string>
#include <tuple>

#include "encoder/attention.h"
#include "encoder/torch_operators.h"

namespace {

// The functions as docs/models.md has them, and calls of mix_heads on both sides of a branch. Bytes
// are left in steps and in their own order: see in_order().
constexpr char kScript[] =
    "def mix_heads(qkv: Tensor, heads: int, size: int) -> Tensor:\n"
    "    split = qkv.view(qkv.size(0), qkv.size(1), 3, heads, size).permute(2, 0, 3, 1, 4)\n"
    "    weights = torch.softmax(split[0].matmul(split[1].transpose(2, 3)), -1)\n"
    "    return weights.matmul(split[2]).transpose(1, 2)\n"
    "def mix_heads_to_bytes(qkv: Tensor, heads: int, size: int, offset: float) -> Tensor:\n"
    "    return mix_heads(qkv, heads, size).float() + offset\n"
    "def norm_to_bytes(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:\n"
    "    return torch.layer_norm(x, [x.size(-1)], weight, bias, eps)\n"
    "def run_bytes(qkv: Tensor, heads: int, size: int, offset: float) -> Tensor:\n"
    "    return mix_heads_to_bytes(qkv, heads, size, offset)\n"
    "def run_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:\n"
    "    return norm_to_bytes(x, weight, bias, eps)\n"
    "def run(qkv: Tensor, heads: int, size: int, twice: bool) -> Tensor:\n"
    "    if twice:\n"
    "        return mix_heads(mix_heads(qkv, heads, size).repeat(1, 1, 3, 1).flatten(2),\n"
    "                         heads, size)\n"
    "    return mix_heads(qkv, heads, size)\n";

struct Script {
  explicit Script(bool fused) : unit(torch::jit::compile(kScript)) {
    if (!fused) return;
    for (const char* const name : {"run", "run_bytes", "run_norm"}) {
      vsearch::encoder::fuse_operators(*graph(name));
    }
  }
  std::shared_ptr<torch::jit::Graph> graph(const char* name = "run") {
    return torch::jit::toGraphFunction(unit->get_function(name)).graph();
  }
  at::Tensor run(const at::Tensor& qkv, std::int64_t heads, std::int64_t size, bool twice = false) {
    return unit->run_method("run", qkv, heads, size, twice).toTensor();
  }
  at::Tensor run_bytes(const at::Tensor& qkv, std::int64_t heads, std::int64_t size,
                       double offset) {
    return unit->run_method("run_bytes", qkv, heads, size, offset).toTensor();
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

// Bytes as the operators order them, each group of `size`: value c * size / 4 + j in byte 4 * j +
// c.
at::Tensor in_order(const at::Tensor& bytes, std::int64_t size) {
  return bytes.view({-1, size / 4, 4}).transpose(1, 2).reshape(bytes.sizes()).to(at::kFloat);
}

// How far bytes are from the steps they were rounded from.
at::Tensor distances(const at::Tensor& bytes, const at::Tensor& steps) {
  return (bytes - steps.clamp(0, 255)).abs();
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
  const bool ours = vsearch::encoder::attention_bf16::supports(static_cast<std::size_t>(tokens),
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

TEST_CASE("layer norm gives the bytes nearest to torch's values") {
  Script plain(false);
  Script fused(true);
  CHECK(count_in(fused.graph("run_norm")->toString(), "vsearch::norm_to_bytes") == 1);
  at::manual_seed(3);
  const std::int64_t dim = GENERATE(64, 192, 384, 768, 1280, 100);  // the last is left to torch
  CAPTURE(dim);
  const at::Tensor x = at::randn({2, 33, dim}) * 5 + 3;
  const at::Tensor weight = at::rand({dim}) * 40;
  const at::Tensor bias = at::randint(0, 255, {dim}).to(at::kFloat);  // some leave 0 to 255
  const double eps = 1e-6;
  const at::Tensor bytes = fused.unit->run_method("run_norm", x, weight, bias, eps).toTensor();
  const at::Tensor steps = plain.unit->run_method("run_norm", x, weight, bias, eps).toTensor();
  REQUIRE(bytes.scalar_type() == at::kByte);
  REQUIRE(bytes.sizes() == x.sizes());
  CHECK(distances(in_order(bytes, dim), steps).max().item<float>() < 0.501F);
}

TEST_CASE("int8 attention is near the exact one, whatever else is in the batch") {
  Script plain(false);
  Script fused(true);
  CHECK(count_in(fused.graph("run_bytes")->toString(), "vsearch::mix_heads_to_bytes") == 1);
  at::manual_seed(4);
  const auto [tokens, heads, size] =
      GENERATE(table<std::int64_t, std::int64_t, std::int64_t>({{198, 3, 64},
                                                                {257, 6, 64},
                                                                {50, 12, 64},
                                                                {6, 1, 64},
                                                                {5, 1, 64},
                                                                {16, 2, 128},
                                                                {65, 1, 256},
                                                                {33, 2, 32}}));
  CAPTURE(tokens, heads, size);
  constexpr double kOffset = 128;
  constexpr float kSpread = 30;  // of values, in steps
  at::Tensor qkv = at::randn({3, tokens, 3 * heads * size});
  qkv.slice(2, 0, heads * size).mul_(GENERATE(1.0, 3.0) / std::sqrt(static_cast<double>(size)));
  qkv.slice(2, 2 * heads * size).mul_(kSpread);
  // One picture has values that would ruin the scales of the others.
  qkv.select(0, 1).slice(1, heads * size).mul_(50);
  const at::Tensor rounded = qkv.to(at::kBFloat16);
  const at::Tensor bytes = fused.run_bytes(rounded, heads, size, kOffset);
  REQUIRE(bytes.scalar_type() == at::kByte);
  REQUIRE(bytes.sizes() == at::IntArrayRef({3, tokens, heads * size}));
  const at::Tensor exact = plain.run_bytes(rounded.to(at::kFloat), heads, size, kOffset).flatten(2);
  for (const std::int64_t picture : {0, 2}) {
    const at::Tensor far =
        distances(in_order(bytes, size).select(0, picture), exact.select(0, picture));
    CHECK(far.max().item<float>() < 0.15F * kSpread);
    CHECK(far.mean().item<float>() < 0.25F + 0.015F * kSpread);
    const at::Tensor alone =
        fused.run_bytes(rounded.slice(0, picture, picture + 1), heads, size, kOffset);
    CHECK(at::equal(alone[0], bytes[picture]));
  }
}

TEST_CASE("many small weights beside a large one are not lost") {
  Script plain(false);
  Script fused(true);
  constexpr std::int64_t kTokens = 198;
  constexpr std::int64_t kSize = 64;
  // The first key gets most of the weight of every query, each other 0.4 steps of what is left.
  at::Tensor qkv = at::zeros({1, kTokens, 3 * kSize});
  qkv.select(2, 0).fill_(1);
  qkv[0][0][kSize] = 6.44;
  qkv.slice(2, 2 * kSize).fill_(100);
  qkv[0][0].slice(0, 2 * kSize).fill_(0);
  const at::Tensor rounded = qkv.to(at::kBFloat16);
  const at::Tensor exact = plain.run_bytes(rounded.to(at::kFloat), 1, kSize, 0.0);
  const at::Tensor bytes = fused.run_bytes(rounded, 1, kSize, 0.0).to(at::kFloat);
  CHECK(exact.mean().item<float>() > 20);
  CHECK(bytes.mean().item<float>() == Approx(exact.mean().item<float>()).margin(3));
}

TEST_CASE("threads that divide a head write the same") {
  using vsearch::encoder::Head;
  constexpr std::size_t kTokens = 52;  // the last group overlaps the one before
  constexpr std::size_t kSize = 64;
  if (!vsearch::encoder::attention_int8::supports(kTokens, kSize)) {
    WARN("skipped: this CPU has no AVX512-VNNI");
    return;
  }
  at::manual_seed(5);
  const at::Tensor qkv = at::randn({kTokens, 3 * kSize}).to(at::kBFloat16);
  const Head head{static_cast<const std::uint16_t*>(qkv.const_data_ptr()), 3 * kSize, kSize,
                  kTokens, kSize};
  const std::size_t groups = vsearch::encoder::query_groups(kTokens);
  const std::size_t cut = GENERATE(std::size_t{1}, std::size_t{4}, std::size_t{8});
  const auto scratch = [](std::size_t bytes) {
    return at::empty({static_cast<std::int64_t>(bytes)}, at::kByte);
  };
  const auto output = [](at::ScalarType type) {
    return at::full({static_cast<std::int64_t>(kTokens), kSize}, 77, type);
  };
  {
    namespace kernel = vsearch::encoder::attention_int8;
    const at::Tensor memory = scratch(kernel::scratch_bytes(kTokens, kSize));
    kernel::prepare(head, memory.mutable_data_ptr());
    const auto mix = [&](at::Tensor& out, std::size_t begin, std::size_t end) {
      kernel::mix(head, 128.0F, begin, end, out.mutable_data_ptr<std::uint8_t>(), kSize,
                  memory.mutable_data_ptr());
    };
    at::Tensor whole = output(at::kByte);
    at::Tensor second = output(at::kByte);
    mix(whole, 0, groups);
    mix(second, cut, groups);
    const auto first_token = static_cast<std::int64_t>(cut * vsearch::encoder::kQueryGroup);
    CHECK(at::equal(second.slice(0, first_token), whole.slice(0, first_token)));
    CHECK(second.slice(0, 0, first_token).eq(77).all().item<bool>());
  }
  {
    namespace kernel = vsearch::encoder::attention_bf16;
    const at::Tensor memory = scratch(kernel::scratch_bytes(kTokens, kSize));
    kernel::prepare(head, memory.mutable_data_ptr());
    const auto mix = [&](at::Tensor& out, std::size_t begin, std::size_t end) {
      kernel::mix(head, begin, end, static_cast<std::uint16_t*>(out.mutable_data_ptr()), kSize,
                  memory.mutable_data_ptr());
    };
    at::Tensor whole = output(at::kBFloat16);
    at::Tensor second = output(at::kBFloat16);
    mix(whole, 0, groups);
    mix(second, cut, groups);
    const auto first_token = static_cast<std::int64_t>(cut * vsearch::encoder::kQueryGroup);
    CHECK(at::equal(second.slice(0, first_token), whole.slice(0, first_token)));
    CHECK(second.slice(0, 0, first_token).eq(77).all().item<bool>());
  }
}

#include "train/low_rank.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace vsearch::training {
namespace {

struct Place {
  torch::jit::Module owner;
  std::string name;
};

// Of a parameter, by its whole name: "blocks.11.mlp.weight".
Place place_of(const torch::jit::Module& network, const std::string& whole_name) {
  torch::jit::Module owner = network;
  std::size_t begin = 0;
  for (std::size_t dot = whole_name.find('.'); dot != std::string::npos;
       dot = whole_name.find('.', begin)) {
    owner = owner.attr(whole_name.substr(begin, dot - begin)).toModule();
    begin = dot + 1;
  }
  return {std::move(owner), whole_name.substr(begin)};
}

// The highest rank of adapters that have fewer numbers than the weight; 0: none have.
std::int64_t highest_rank_of(const at::Tensor& weight) {
  if ((weight.dim() != 2 && weight.dim() != 4) || weight.numel() == 0) return 0;
  const std::int64_t out = weight.size(0);
  const std::int64_t in = weight.numel() / out;
  return (in * out - 1) / (in + out);
}

}  // namespace

at::Tensor LowRank::Adapter::sum() const {
  return start + up.matmul(down).view(start.sizes());
}

std::uint32_t highest_rank(const std::vector<TunedParameter>& chosen) {
  std::int64_t highest = 0;
  for (const TunedParameter& parameter : chosen) {
    highest = std::max(highest, highest_rank_of(parameter.value));
  }
  return static_cast<std::uint32_t>(highest);
}

LowRank::LowRank(const torch::jit::Module& network, const std::vector<TunedParameter>& chosen,
                 std::uint32_t rank, double others_rate, std::uint64_t seed) {
  const at::NoGradGuard no_gradients;
  at::Generator random = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (const TunedParameter& parameter : chosen) {
    const at::Tensor& weight = parameter.value;
    // A weight with two owners would get two sums.
    const bool is_taken = std::ranges::any_of(
        adapters_, [&](const Adapter& adapter) { return adapter.own.is_same(weight); });
    if (rank == 0 || rank > highest_rank_of(weight) || is_taken) {
      learned_.push_back(parameter);
      if (rank > 0) learned_.back().rate_factor *= others_rate;
      continue;
    }
    const std::int64_t out = weight.size(0);
    const std::int64_t in = weight.numel() / out;
    Place place = place_of(network, parameter.name);
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    const at::Tensor down =
        at::rand({rank, in}, random, at::TensorOptions(at::kFloat)).mul_(2 * bound).sub_(bound);
    const at::Tensor up = at::zeros({out, rank}, weight.options());
    adapters_.push_back({std::move(place.owner), std::move(place.name), weight,
                         weight.detach().clone(), down.to(weight.options()), up});
    const Adapter& added = adapters_.back();
    learned_.push_back({parameter.name + ".lora_down", added.down, parameter.rate_factor});
    learned_.push_back({parameter.name + ".lora_up", added.up, parameter.rate_factor});
  }
}

void LowRank::attach() {
  for (Adapter& adapter : adapters_) adapter.owner.setattr(adapter.name, adapter.sum());
}

void LowRank::settle() {
  const at::NoGradGuard no_gradients;
  for (Adapter& adapter : adapters_) {
    adapter.own.copy_(adapter.sum());
    adapter.owner.setattr(adapter.name, adapter.own);
  }
}

}  // namespace vsearch::training

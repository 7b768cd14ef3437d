#include "train/low_rank.h"

#include <ATen/CPUGeneratorImpl.h>

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

// Whether adapters of that rank have fewer numbers than the weight.
bool is_worth_it(const at::Tensor& weight, std::int64_t rank) {
  if (weight.dim() != 2 && weight.dim() != 4) return false;
  const std::int64_t out = weight.size(0);
  const std::int64_t in = weight.numel() / std::max<std::int64_t>(1, out);
  return rank * (in + out) < in * out;
}

}  // namespace

at::Tensor LowRank::Adapter::sum() const {
  return start + up.matmul(down).view(start.sizes());
}

LowRank::LowRank(const torch::jit::Module& network, const std::vector<TunedParameter>& chosen,
                 std::uint32_t rank, std::uint64_t seed) {
  const at::NoGradGuard no_gradients;
  at::Generator random = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (const TunedParameter& parameter : chosen) {
    const at::Tensor& weight = parameter.value;
    if (rank == 0 || !is_worth_it(weight, rank)) {
      learned_.push_back(parameter);
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

// Low-rank adapters (LoRA, arXiv 2106.09685): a matrix of a network becomes what it was plus the
// product of two thin ones, which alone are learned. The sum is an ordinary weight again, so any
// package can be tuned like this, and what comes out is as fast as it was.
#pragma once

#include <ATen/ATen.h>
#include <torch/script.h>

#include <cstdint>
#include <string>
#include <vector>

#include "train/optimisation.h"

namespace vsearch::training {

// The highest rank at which any of `chosen` takes an adapter; 0: none does.
std::uint32_t highest_rank(const std::vector<TunedParameter>& chosen);

class LowRank {
 public:
  // Adapters of `rank` for those of `chosen`, parameters of `network`, that are matrices or
  // convolutions and have more numbers than their adapters would; the others are learned as they
  // are, at `others_rate` times their rate. They begin with a product of 0. rank 0: none at all.
  LowRank(const torch::jit::Module& network, const std::vector<TunedParameter>& chosen,
          std::uint32_t rank, double others_rate, std::uint64_t seed);

  // What is learned, in the order of `chosen`: of NAME with an adapter "NAME.lora_down" [rank, in]
  // and "NAME.lora_up" [out, rank], both at its rate.
  const std::vector<TunedParameter>& learned() const { return learned_; }

  // The network computes with the sums, from which gradients reach the adapters. For one step: the
  // graph behind them is used up by backward().
  void attach();
  // The network has the sums as parameters of its own, as at the beginning.
  void settle();

 private:
  struct Adapter {
    torch::jit::Module owner;  // of the parameter
    std::string name;          // in the owner
    at::Tensor own;            // the parameter of the network
    at::Tensor start;          // a copy of what it was
    at::Tensor down;
    at::Tensor up;

    at::Tensor sum() const;
  };

  std::vector<Adapter> adapters_;
  std::vector<TunedParameter> learned_;
};

}  // namespace vsearch::training

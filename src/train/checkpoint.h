// Where a run stands after an epoch, on disk, so that an interrupted one goes on.
#pragma once

#include <ATen/ATen.h>
#include <torch/optim/optimizer.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vsearch::training {

// What is saved and what load() fills; pointers are borrowed.
struct CheckpointState {
  std::vector<at::Tensor> values;  // network and class vectors, in a fixed order
  std::vector<at::Tensor>* best = nullptr;
  torch::optim::Optimizer* optimizer = nullptr;
  // Of each epoch its numbers and its line of the log, which load() leaves empty.
  std::vector<std::vector<double>> epochs{};
  std::string log{};
  std::uint32_t best_epoch = 0;
};

// FOLDER/checkpoint.pt, and beside it FOLDER/log.jsonl with a line an epoch. Each is there whole or
// as it was before. Without a folder nothing is saved.
class Checkpoint {
 public:
  // `key` says what run it is, with all that its weights come from: one with another key is not
  // gone on from, but replaced.
  // Throws kIo (the folder cannot be made).
  Checkpoint(std::filesystem::path folder, std::string key);

  // Whether there was one of this run. Throws kCorrupt, with the remedy, if it is damaged, or none
  // of ours.
  bool load(CheckpointState& state) const;
  // Throws kIo, as for a full disk; the one before is still there then.
  void save(const CheckpointState& state) const;

 private:
  std::filesystem::path folder_;
  std::string key_;
};

}  // namespace vsearch::training

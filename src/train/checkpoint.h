// Where a run stands after an epoch, on disk, so that an interrupted one goes on.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/optim/optimizer.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "eval/embedding_cache.h"
#include "util/sha256.h"
#include "vsearch/dataset.h"
#include "vsearch/trainer.h"

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

// What run a checkpoint is of: a hash of everything that its weights come from.
class CheckpointKey {
 public:
  template <typename... Values>
  void add(const Values&... values) {
    (add_text(fmt::format("{}", values)), ...);
  }
  void add_changes(const Augmentation& change) {
    add(change.random_crop, change.flip, change.colour_jitter, change.greyscale,
        change.new_background, change.erase);
  }
  // Its path in the data set, its crop, and the size and time of its file.
  void add_picture(const Dataset& dataset, std::uint32_t picture) {
    const eval::PictureKey key = eval::key_of_picture(dataset, dataset.pictures[picture]);
    add(key.low, key.high);
  }
  std::string text() { return hash_.hex(); }

 private:
  void add_text(const std::string& text) { hash_.update(fmt::format("{}:{}", text.size(), text)); }

  util::Sha256 hash_;
};

// Keeps a folder of checkpoints to one run while it lives, by a lock on the file run.lock in it.
// The kernel takes the lock back when the process dies; the file stays.
class WorkFolder {
 public:
  // Makes it where it is not there; an empty path: nothing. Throws kIo (it cannot be made or
  // written to), kBusy (another run uses it).
  explicit WorkFolder(const std::filesystem::path& folder);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

 private:
  int lock_ = -1;
};

// FOLDER/checkpoint.pt, and beside it FOLDER/log.jsonl with a line an epoch. Each is there whole or
// as it was before. Without a folder nothing is saved.
class Checkpoint {
 public:
  // `key` says what run it is, with all that its weights come from: one with another key is not
  // gone on from, but replaced.
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

// Which pictures are learned from in which step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "eval/seeded.h"

namespace vsearch::training {

// The seed of part `number` of what has the seed `seed`: another for each number, and streams that
// do not run into each other.
constexpr std::uint64_t derived_seed(std::uint64_t seed, std::uint64_t number) {
  return eval::mixed(eval::mixed(seed + eval::Seeded::kStep) + number);
}

struct SamplerSettings {
  std::uint32_t batch_size = 64;
  std::uint32_t per_class = 0;   // pictures of a class in a batch; 0: as they come
  bool balance_classes = false;  // each class as often as any other
  std::uint64_t seed = 1;
  // [pictures]: numbers, each of which comes as often as any other, such as the values of a field;
  // empty: not. With neither per_class nor balance_classes.
  std::vector<std::int32_t> balanced{};
};

// Draws the batches of an epoch: rows, which are numbers of `labels`.
//
// per_class 0: every picture once, in random order. A last batch that would be short is left out,
// unless it is the only one.
//   balance_classes: as many pictures, but equally many of each class (one more of some, if it does
//   not come out even): of a large class a part, those of a rare class several times. The same of
//   each number of `balanced`.
// per_class K: batches of P = batch_size / K classes with K pictures each (Hermans et al., arXiv
// 1703.07737), as many as hold all pictures once. A class comes as often as its share of the
// pictures says, or with balance_classes as often as any other, and only once in a batch as long as
// other classes are left: in a set of fewer than P classes, each as often as any other. The K
// pictures differ, unless the class has fewer: then each of them comes equally often, or once more.
// In both, no picture comes again before its class is used up, but for a rest of fewer than K.
//
// Batches depend on labels, settings and the number of the epoch alone, on every machine.
// Threads: epoch() may be called by several at once.
class BatchSampler {
 public:
  // labels[row]: the class of that picture, from 0; numbers that no picture has are no classes.
  // Throws kInvalidArgument: a label below 0; fewer than two classes; batch_size below 2; per_class
  // that does not divide batch_size; `balanced` of another length, or with what it does not go
  // with.
  BatchSampler(std::vector<std::int32_t> labels, const SamplerSettings& settings);

  // Of each epoch.
  std::size_t batch_count() const { return batch_count_; }
  std::vector<std::vector<std::uint32_t>> epoch(std::uint32_t number) const;

 private:
  SamplerSettings settings_;
  std::vector<std::vector<std::uint32_t>> rows_;      // of each class that has pictures
  std::vector<std::vector<std::uint32_t>> balanced_;  // of what comes equally often; may be empty
  std::size_t picture_count_ = 0;
  std::size_t batch_count_ = 0;
};

}  // namespace vsearch::training

// Batches whose pictures have something in common, so that they are hard to tell apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "train/sampler.h"

namespace vsearch::training {

struct GroupBatch {
  std::vector<std::uint32_t> rows;
  std::size_t group = 0;
};

// A BatchSampler for each group of pictures: every batch is of one group alone, such as a category
// or a domain. Batches of an epoch come in random order, or in turn: then each group has equally
// many, or one more, and a small one is gone through again. Pictures of groups with a single class,
// in which nothing could be told apart, make a group together; if that has a single class too, they
// go to the largest group. One group, or none given: a BatchSampler.
// Batches depend on what is given and the number of the epoch alone. Threads: as BatchSampler.
class GroupedSampler {
 public:
  // groups[row]: as labels, in any order of numbers; empty: all of one.
  // Throws what BatchSampler throws.
  GroupedSampler(const std::vector<std::int32_t>& labels, const std::vector<std::int32_t>& groups,
                 bool in_turn, const SamplerSettings& settings);

  std::size_t batch_count() const;  // of each epoch
  std::vector<GroupBatch> epoch(std::uint32_t number) const;
  // By group: the classes that its pictures have, ascending.
  const std::vector<std::vector<std::int32_t>>& classes() const { return classes_; }

 private:
  struct Part {
    std::vector<std::uint32_t> rows;
    BatchSampler sampler;
  };
  std::vector<Part> parts_;
  std::vector<std::vector<std::int32_t>> classes_;
  bool in_turn_;
  std::uint64_t seed_;
};

}  // namespace vsearch::training

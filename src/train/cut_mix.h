// CutMix (Yun et al., arXiv 1905.04899): a rectangle of each picture of a batch becomes another
// picture's, and counts for that one's label, so that no part of a subject alone is relied on.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

#include "train/batches.h"

namespace vsearch::training {

struct MixedBatch {
  at::Tensor pixels;     // float32 [B, 3, height, width]
  at::Tensor others;     // int64 [B]: the labels of the pictures that the rectangles are of
  double own_share = 1;  // of the area, and so of the loss, 0 to 1: the rest is the others'
};

// So `often`, 0 to 1, as the seed has it; else nothing, and the batch stays as it is. The rectangle
// is the same in all pictures: its area even between none and all, its middle anywhere, cut off at
// the picture's rim. Each picture gives to one and takes from another of the batch.
std::optional<MixedBatch> cut_mix(const Batch& batch, double often, std::uint64_t seed);

}  // namespace vsearch::training

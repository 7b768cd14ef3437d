// A linear map learned from embeddings that were computed once.
#pragma once

#include <ATen/ATen.h>

#include "train/recipe.h"
#include "train/training_set.h"
#include "train/tuned_package.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

// Whitening within classes: after it what differs between pictures of a class is as wide in every
// direction, so that cosines count what tells classes apart (Mikolajczyk and Matas, ICCV 2007;
// LDA without its last rotation). `features` float32 [n, dim before] of length 1, labels int64 [n].
// The covariance is drawn towards a multiple of one by `shrinkage`, 0 to 1. The `dim` directions of
// the most variance between classes are kept.
Head whitening_head(const at::Tensor& features, const at::Tensor& labels, std::int64_t dim,
                    double shrinkage);

// The map applied: [n, dim before], of any length, to [n, dim].
at::Tensor apply_head(const Head& head, const at::Tensor& embeddings);

// Learns the map by options.loss, from whitening_head() on, and adds an entry to report.epochs for
// each epoch; the head that finds best among the held-out pictures is the result: of an epoch, or
// of epoch 0 that of whitening or none (a unit matrix). Throws kCancelled. embeddings: of the data
// set's pictures, by the start model.
Head train_head(const TrainingSet& set, const Matrix& embeddings, const TrainOptions& options,
                const Recipe& recipe, const TrainProgress& progress, TrainReport& report);

}  // namespace vsearch::training

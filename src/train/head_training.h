// A head learned from embeddings that were computed once.
#pragma once

#include <cstddef>

#include "train/recipe.h"
#include "train/training_set.h"
#include "train/tuned_package.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

// Throws kInvalidArgument: options.dim is more than an encoder of `dim_before` and pictures of so
// many classes can give.
void check_head_dim(const TrainOptions& options, std::size_t dim_before, std::size_t classes);

// Learns a head by options.loss, from whitening_head() on, and adds an entry to report.epochs for
// each epoch; the head that finds best among the held-out pictures is the result: of an epoch, or
// of epoch 0 that of whitening or none (a unit matrix). A head of another kind is what it is,
// whatever it finds. Throws kCancelled. embeddings: of the data set's pictures, by the start model.
Head train_head(const TrainingSet& set, const Matrix& embeddings, const TrainOptions& options,
                const Recipe& recipe, const TrainProgress& progress, TrainReport& report);

}  // namespace vsearch::training

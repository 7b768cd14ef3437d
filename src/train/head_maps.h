// Heads that are computed at once, from embeddings and perhaps their labels.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

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

// The `dim` principal directions of `features`, float32 [n, dim before] of length 1, about their
// mean; `whitens`: each brought to the same width, the variances drawn towards their mean by
// `shrinkage`, 0 to 1 (Jegou and Chum, ECCV 2012).
Head principal_head(const at::Tensor& features, std::int64_t dim, bool whitens, double shrinkage);

// The head of that kind; of kLearned what it begins with. labels as above.
Head computed_head(HeadKind kind, const at::Tensor& features, const at::Tensor& labels,
                   std::int64_t dim);

// The head applied: [n, dim before], of any length, to [n, dim].
at::Tensor apply_head(const Head& head, const at::Tensor& embeddings);
// The same of what has length 1 already; differentiable.
at::Tensor through_head(const Head& head, const at::Tensor& unit);

}  // namespace vsearch::training

// What training makes small: losses of labelled embeddings, and of a student's embeddings beside a
// teacher's. All of directions alone: embeddings and class vectors are brought to length 1 first.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vsearch/trainer.h"

namespace vsearch::training {

// For pictures i of a batch of B with labels y, cos(i, c) to the vector of class c, s(i, j) between
// pictures, margin m and scale a:
//
//   kArcFace          mean over i of cross-entropy(a * l(i), y_i) with l(i, c) = cos(i, c), but
//                     l(i, y_i) = cos(theta + m), theta the angle to the own class; where theta >=
//                     pi - m, cos theta - m sin m, so that it goes on falling (arXiv 1801.07698 and
//                     its authors' code). m in radians, 0 to pi/2.
//   kSubCentreArcFace the same with K vectors a class and cos(i, c) that of the nearest (Deng et
//                     al., "Sub-center ArcFace", ECCV 2020)
//   kCosFace          the same with l(i, y_i) = cos(i, y_i) - m (arXiv 1801.09414), m 0 to 1
//   kNormSoftmax      that without a margin; a is 1 / temperature (arXiv 1811.12649)
//   kProxyAnchor      mean over classes c in the batch of
//                       log(1 + sum over i of c of exp(-a (cos(i, c) - m)))
//                     + mean over all classes c of
//                       log(1 + sum over i not of c of exp(a (cos(i, c) + m)))
//                     (arXiv 2003.13911), m 0 to 1
//   kSupCon           mean over i that have positives of the mean over these, j, of
//                       -log(exp(a s(i, j)) / sum over k != i of exp(a s(i, k)))
//                     (L_out of arXiv 2004.11362); a is 1 / temperature; no margin
//   kTriplet          mean over i that have positives and negatives of
//                       max(0, m + largest d(i, positive) - smallest d(i, negative))
//                     (batch hard, arXiv 1703.07737), d the Euclidean distance of the vectors of
//                     length 1, m 0 to 2; no scale
//   kMultiSimilarity  mean over i of log(1 + sum over j in P_i of exp(-2 (s(i, j) - 0.5))) / 2
//                                  + log(1 + sum over j in N_i of exp(a (s(i, j) - 0.5))) / a
//                     (arXiv 1904.06627; 2 and 0.5 as in its authors' code) with P_i the positives
//                     of s < m + the largest s of a negative, N_i the negatives of s > the smallest
//                     s of a positive - m; m 0 to 1
//
// Scales are above 0, at most 1000.

// What a loss's paper takes; 0 for a loss without a margin, 1 for one without a scale. kTriplet's
// is the one of its paper's choices that suits vectors of length 1 (it is arXiv 1503.03832's too).
double usual_margin(Loss loss);
double usual_scale(Loss loss);

struct LossSettings {
  Loss loss = Loss::kArcFace;
  std::optional<double> margin{};  // usual_margin(loss) if not given
  std::optional<double> scale{};   // usual_scale(loss) if not given
  std::int64_t classes = 0;        // at least 2
  std::int64_t dim = 0;            // at least 1
  std::int64_t sub_centres = 3;    // of kSubCentreArcFace, 1 to 64; others have no use for it
  std::uint64_t seed = 1;          // of the class vectors, which are the same on all devices
  // What is computed in and where class vectors lie: float32, or float64 to check gradients.
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

// Threads: one call at a time.
class RetrievalLoss {
 public:
  virtual ~RetrievalLoss();

  // Embeddings [B, dim] of any length and floating-point type, labels int64 [B] in 0..classes-1,
  // both on the device: a scalar of the settings' dtype, differentiable. Computed in that dtype
  // even under autocast (which should not be on for backward()).
  // A batch without a pair that counts gives 0, and gradients of 0. Gradients of finite embeddings
  // are finite, whatever their angles; an embedding of length 0 gets none.
  // Throws kInvalidArgument for other shapes and types. That labels are in range is the caller's to
  // see to: to look would make a GPU wait at each step.
  //
  // among: bool [classes], the classes that pictures are told from, those of `labels` at least, so
  // that each domain has a classifier of its own; not defined: all. Losses without class vectors
  // have no use for it.
  virtual at::Tensor compute(const at::Tensor& embeddings, const at::Tensor& labels,
                             const at::Tensor& among = {}) = 0;

  // What is learned too, leaves that require gradients: of the losses of classes one tensor, the
  // class vectors, [classes, dim] ([classes * sub_centres, dim], those of a class in a row) and
  // about of length 1; none of kSupCon, kTriplet, kMultiSimilarity.
  virtual std::vector<at::Tensor> parameters() = 0;
};

// Puts the class vectors of `loss`, if it has any, where the embeddings of their classes lie in the
// mean, as seen from the mean of all classes, so that the first steps are not spent on finding the
// classes; several vectors of a class keep a little of what they were, to differ. Classes without
// an embedding keep theirs. embeddings [n, dim], labels int64 [n], on the device of the vectors;
// `classes` as in the settings.
void start_at_means(RetrievalLoss& loss, const at::Tensor& embeddings, const at::Tensor& labels,
                    std::int64_t classes);

// Throws kInvalidArgument for numbers out of range, and for a margin or scale of a loss that has
// none (other than the usual 0 or 1).
std::unique_ptr<RetrievalLoss> make_loss(const LossSettings& settings);

// Distillation: student [B, dim], teacher [B, dim'], floating point, on one device; computed in
// float64 if the student is, else in float32. The teacher gets no gradient. Throw kInvalidArgument
// for other shapes.
//
// Mean of 1 - cosine of the two embeddings of a picture; dim = dim'.
at::Tensor cosine_distillation(const at::Tensor& student, const at::Tensor& teacher);

// Keeps how pictures lie to each other, where dim' may be another (RKD-DA of arXiv 1904.05068, with
// its weights 1 and 2): D + 2 A of embeddings of length 1, h the Huber loss of delta 1.
//   D  mean over pairs of h(d / mean d of the student - d / mean d of the teacher)
//   A  mean over triples (i, j, k) of h(cosine of the angle at j, the student's - the teacher's)
// A is of the first 64 pictures of the batch alone: it takes memory of their number cubed, and what
// a batch holds is drawn anyway. A batch too small for pairs or triples gives 0 for them.
at::Tensor relational_distillation(const at::Tensor& student, const at::Tensor& teacher);

}  // namespace vsearch::training

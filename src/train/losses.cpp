#include "train/losses.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <tuple>
#include <utility>

#include "eval/seeded.h"
#include "train/losses_common.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

constexpr double kLargestScale = 1000;
constexpr std::int64_t kMostSubCentres = 64;
// Of kMultiSimilarity.
constexpr double kPositiveScale = 2;
constexpr double kSimilarityThreshold = 0.5;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The root's slope at 0 is infinite; from here down its gradient is 0.
constexpr double kSmallestSquare = 1e-12;

struct UsualNumbers {
  double margin = 0;
  double largest_margin = 0;  // 0: it has none
  const char* margin_unit = "";
  double scale = 1;
  bool has_scale = true;
};

UsualNumbers usual_numbers(Loss loss) {
  switch (loss) {
    case Loss::kArcFace:
    case Loss::kSubCentreArcFace:
      // Up to pi/2 the fallback for large angles lies below what it replaces.
      return {0.5, std::numbers::pi / 2, " radians", 64};
    case Loss::kCosFace:
      return {0.35, 1, "", 64};
    case Loss::kNormSoftmax:
      return {0, 0, "", 20};
    case Loss::kProxyAnchor:
      return {0.1, 1, "", 32};
    case Loss::kSupCon:
      return {0, 0, "", 10};
    case Loss::kTriplet:
      return {0.2, 2, "", 1, false};
    case Loss::kMultiSimilarity:
      return {0.1, 1, "", 50};
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("there is no loss of number {}", static_cast<int>(loss)));
}

void check_settings(const LossSettings& settings) {
  const UsualNumbers usual = usual_numbers(settings.loss);
  const double margin = settings.margin.value_or(usual.margin);
  const double scale = settings.scale.value_or(usual.scale);
  const std::string name(loss_name(settings.loss));
  if (usual.largest_margin == 0 && margin != 0) {
    refuse_loss(
        fmt::format("the loss {} has no margin, so it cannot be {}; leave it out", name, margin));
  }
  // Written so that NaN is out of range.
  if (!(margin >= 0 && margin <= usual.largest_margin)) {
    refuse_loss(fmt::format("the margin of the loss {} must be 0 to {:.4g}{}, not {}; usual is {}",
                            name, usual.largest_margin, usual.margin_unit, margin, usual.margin));
  }
  if (!usual.has_scale && scale != 1) {
    refuse_loss(
        fmt::format("the loss {} has no scale, so it cannot be {}; leave it out", name, scale));
  }
  if (!(scale > 0 && scale <= kLargestScale)) {
    refuse_loss(
        fmt::format("the scale of the loss {} must be above 0 and at most {}, not {}; usual is {}",
                    name, kLargestScale, scale, usual.scale));
  }
  if (settings.classes < 2) {
    refuse_loss(
        fmt::format("the loss {} needs at least 2 classes, not {}: what shows one class alone "
                    "teaches nothing",
                    name, settings.classes));
  }
  if (settings.dim < 1) {
    refuse_loss(fmt::format("the loss {} needs embeddings of at least 1 dimension, not {}", name,
                            settings.dim));
  }
  if (settings.loss == Loss::kSubCentreArcFace &&
      (settings.sub_centres < 1 || settings.sub_centres > kMostSubCentres)) {
    refuse_loss(fmt::format("the loss {} takes 1 to {} sub-centres a class, not {}; usual is 3",
                            name, kMostSubCentres, settings.sub_centres));
  }
  if (settings.dtype != at::kFloat && settings.dtype != at::kDouble) {
    refuse_loss(fmt::format("the loss {} is computed in float32 or float64, not in {}", name,
                            c10::toString(settings.dtype)));
  }
}

// log(1 + the sum of exp(x) where `mask`), along `dim`.
at::Tensor log_one_plus(const at::Tensor& x, const at::Tensor& mask, std::int64_t dim) {
  const at::Tensor masked = x.masked_fill(mask.logical_not(), -kInfinity);
  return at::logsumexp(at::cat({masked, at::zeros_like(x.narrow(dim, 0, 1))}, dim), {dim});
}

// The mean of the values at `counts`; 0 where there are none.
at::Tensor mean_of(const at::Tensor& values, const at::Tensor& counts) {
  return (values * counts).sum() / counts.sum().clamp_min(1);
}

class CheckedLoss : public RetrievalLoss {
 public:
  explicit CheckedLoss(const LossSettings& settings)
      : settings_(settings),
        margin_(settings.margin.value_or(usual_margin(settings.loss))),
        scale_(settings.scale.value_or(usual_scale(settings.loss))) {}

  at::Tensor compute(const at::Tensor& embeddings, const at::Tensor& labels,
                     const at::Tensor& among) final {
    if (embeddings.dim() != 2 || embeddings.size(0) == 0 || embeddings.size(1) != settings_.dim ||
        !embeddings.is_floating_point()) {
      refuse_loss(fmt::format("the loss {} takes embeddings of floating point [batch, {}], not {}",
                              loss_name(settings_.loss), settings_.dim, shape_text(embeddings)));
    }
    if (labels.dim() != 1 || labels.size(0) != embeddings.size(0) ||
        labels.scalar_type() != at::kLong) {
      refuse_loss(
          fmt::format("the loss {} takes labels of int64 [{}], one for each embedding, not {}",
                      loss_name(settings_.loss), embeddings.size(0), shape_text(labels)));
    }
    if (among.defined() && (among.dim() != 1 || among.size(0) != settings_.classes ||
                            among.scalar_type() != at::kBool)) {
      refuse_loss(fmt::format("the loss {} takes the classes to tell from as Bool [{}], not {}",
                              loss_name(settings_.loss), settings_.classes, shape_text(among)));
    }
    const WithoutAutocast no_autocast;
    return compute_unit(to_unit(embeddings.to(settings_.dtype)), labels, among);
  }

  std::vector<at::Tensor> parameters() override { return {}; }

 protected:
  // The same of embeddings of length 1.
  virtual at::Tensor compute_unit(const at::Tensor& unit, const at::Tensor& labels,
                                  const at::Tensor& among) const = 0;

  const LossSettings settings_;
  const double margin_;
  const double scale_;
};

class ClassLoss : public CheckedLoss {
 public:
  ClassLoss(const LossSettings& settings, std::int64_t centres)
      : CheckedLoss(settings), centres_(centres) {
    at::Tensor vectors = at::empty({settings.classes * centres, settings.dim}, at::kFloat);
    const float deviation = 1 / std::sqrt(static_cast<float>(settings.dim));
    eval::Seeded seeded(settings.seed);
    std::generate_n(vectors.mutable_data_ptr<float>(), vectors.numel(),
                    [&] { return deviation * seeded.normal(); });
    vectors_ = vectors.to(settings.device, settings.dtype).requires_grad_();
  }

  std::vector<at::Tensor> parameters() override { return {vectors_}; }

 protected:
  // To each class: [B, classes]; -infinity to those that are not `among`.
  at::Tensor cosines(const at::Tensor& unit, const at::Tensor& among) const {
    at::Tensor all = unit.matmul(to_unit(vectors_).t());
    if (centres_ > 1) all = std::get<0>(all.view({-1, settings_.classes, centres_}).max(2));
    return among.defined() ? all.masked_fill(among.logical_not(), -kInfinity) : all;
  }

 private:
  std::int64_t centres_;
  at::Tensor vectors_;
};

class AngularMarginLoss final : public ClassLoss {
 public:
  using ClassLoss::ClassLoss;

 protected:
  at::Tensor compute_unit(const at::Tensor& unit, const at::Tensor& labels,
                          const at::Tensor& among) const override {
    const at::Tensor cos = cosines(unit, among);
    const at::Tensor own_class = labels.unsqueeze(1);
    const at::Tensor own = cos.gather(1, own_class);
    const at::Tensor sine = (1 - own.square()).clamp_min(kSmallestSquare).sqrt();
    const at::Tensor harder = at::where(own > std::cos(std::numbers::pi - margin_),
                                        own * std::cos(margin_) - sine * std::sin(margin_),
                                        own - margin_ * std::sin(margin_));
    return at::cross_entropy_loss(scale_ * cos.scatter(1, own_class, harder), labels);
  }
};

// kNormSoftmax is the one of margin 0.
class CosineMarginLoss final : public ClassLoss {
 public:
  using ClassLoss::ClassLoss;

 protected:
  at::Tensor compute_unit(const at::Tensor& unit, const at::Tensor& labels,
                          const at::Tensor& among) const override {
    const at::Tensor cos = cosines(unit, among);
    const at::Tensor own_class = labels.unsqueeze(1);
    const at::Tensor harder = cos.gather(1, own_class) - margin_;
    return at::cross_entropy_loss(scale_ * cos.scatter(1, own_class, harder), labels);
  }
};

class ProxyAnchorLoss final : public ClassLoss {
 public:
  using ClassLoss::ClassLoss;

 protected:
  at::Tensor compute_unit(const at::Tensor& unit, const at::Tensor& labels,
                          const at::Tensor& among) const override {
    const at::Tensor cos = cosines(unit, among);
    const at::Tensor own =
        labels.unsqueeze(1) == at::arange(settings_.classes, labels.options()).unsqueeze(0);
    const at::Tensor pull = log_one_plus(-scale_ * (cos - margin_), own, 0);
    const at::Tensor push = log_one_plus(scale_ * (cos + margin_), own.logical_not(), 0);
    return mean_of(pull, own.any(0)) + (among.defined() ? mean_of(push, among) : push.mean());
  }
};

// Which pictures of a batch are of one class, which of two: [B, B].
struct BatchPairs {
  explicit BatchPairs(const at::Tensor& labels) {
    const at::Tensor same = labels.unsqueeze(1) == labels.unsqueeze(0);
    self = at::eye(labels.size(0), same.options());
    positive = same.logical_and(self.logical_not());
    negative = same.logical_not();
  }
  at::Tensor self;
  at::Tensor positive;
  at::Tensor negative;
};

class SupConLoss final : public CheckedLoss {
 public:
  using CheckedLoss::CheckedLoss;

 protected:
  at::Tensor compute_unit(const at::Tensor& unit, const at::Tensor& labels,
                          const at::Tensor& /*among*/) const override {
    const BatchPairs pairs(labels);
    // Not -infinity: a picture alone in its batch would get NaN.
    constexpr double kNever = -1e30;
    const at::Tensor logits = (scale_ * unit.matmul(unit.t())).masked_fill(pairs.self, kNever);
    const at::Tensor wrong = -at::log_softmax(logits, 1);
    const at::Tensor positives = pairs.positive.sum(1);
    return mean_of((wrong * pairs.positive).sum(1) / positives.clamp_min(1), positives > 0);
  }
};

class BatchHardTripletLoss final : public CheckedLoss {
 public:
  using CheckedLoss::CheckedLoss;

 protected:
  at::Tensor compute_unit(const at::Tensor& unit, const at::Tensor& labels,
                          const at::Tensor& /*among*/) const override {
    const BatchPairs pairs(labels);
    constexpr double kBeyondAll = 4;  // distances are 0 to 2
    const at::Tensor distance = (2 - 2 * unit.matmul(unit.t())).clamp_min(kSmallestSquare).sqrt();
    const at::Tensor furthest_positive =
        std::get<0>(distance.masked_fill(pairs.positive.logical_not(), -kBeyondAll).max(1));
    const at::Tensor nearest_negative =
        std::get<0>(distance.masked_fill(pairs.negative.logical_not(), kBeyondAll).min(1));
    return mean_of(at::relu(margin_ + furthest_positive - nearest_negative),
                   pairs.positive.any(1).logical_and(pairs.negative.any(1)));
  }
};

class MultiSimilarityLoss final : public CheckedLoss {
 public:
  using CheckedLoss::CheckedLoss;

 protected:
  at::Tensor compute_unit(const at::Tensor& unit, const at::Tensor& labels,
                          const at::Tensor& /*among*/) const override {
    const BatchPairs pairs(labels);
    const at::Tensor cos = unit.matmul(unit.t());
    const at::Tensor mined = cos.detach();
    const at::Tensor hardest_negative =
        mined.masked_fill(pairs.negative.logical_not(), -kInfinity).amax(1, true);
    const at::Tensor hardest_positive =
        mined.masked_fill(pairs.positive.logical_not(), kInfinity).amin(1, true);
    const at::Tensor positive = pairs.positive.logical_and(mined < hardest_negative + margin_);
    const at::Tensor negative = pairs.negative.logical_and(mined > hardest_positive - margin_);
    const at::Tensor above = cos - kSimilarityThreshold;
    return (log_one_plus(-kPositiveScale * above, positive, 1) / kPositiveScale +
            log_one_plus(scale_ * above, negative, 1) / scale_)
        .mean();
  }
};

// How far the vectors of a class lie apart when they start at its mean.
constexpr double kSubCentreSpread = 0.3;

}  // namespace

at::Tensor to_unit(const at::Tensor& vectors, double shortest) {
  const at::Tensor length = at::linalg_vector_norm(vectors, 2, {{-1}}, /*keepdim=*/true);
  return (vectors / length.clamp_min(shortest)).masked_fill(length < shortest, 0);
}

std::string shape_text(const at::Tensor& tensor) {
  return fmt::format("{} [{}]", c10::toString(tensor.scalar_type()),
                     fmt::join(tensor.sizes().begin(), tensor.sizes().end(), ", "));
}

void refuse_loss(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, message);
}

RetrievalLoss::~RetrievalLoss() = default;

double usual_margin(Loss loss) {
  return usual_numbers(loss).margin;
}
double usual_scale(Loss loss) {
  return usual_numbers(loss).scale;
}

std::unique_ptr<RetrievalLoss> make_loss(const LossSettings& settings) {
  check_settings(settings);
  switch (settings.loss) {
    case Loss::kArcFace:
      return std::make_unique<AngularMarginLoss>(settings, 1);
    case Loss::kSubCentreArcFace:
      return std::make_unique<AngularMarginLoss>(settings, settings.sub_centres);
    case Loss::kCosFace:
    case Loss::kNormSoftmax:
      return std::make_unique<CosineMarginLoss>(settings, 1);
    case Loss::kProxyAnchor:
      return std::make_unique<ProxyAnchorLoss>(settings, 1);
    case Loss::kSupCon:
      return std::make_unique<SupConLoss>(settings);
    case Loss::kTriplet:
      return std::make_unique<BatchHardTripletLoss>(settings);
    case Loss::kMultiSimilarity:
      return std::make_unique<MultiSimilarityLoss>(settings);
  }
  throw Error(ErrorCode::kInternal, "a loss that nothing computes");
}

void start_at_means(RetrievalLoss& loss, const at::Tensor& embeddings, const at::Tensor& labels,
                    std::int64_t classes) {
  const at::NoGradGuard no_gradients;
  for (const at::Tensor& vectors : loss.parameters()) {
    const std::int64_t of_class = vectors.size(0) / classes;
    const at::Tensor sums =
        at::zeros({classes, vectors.size(1)}, vectors.options().requires_grad(false))
            .index_add(0, labels, to_unit(embeddings.to(vectors.scalar_type())));
    const at::Tensor has_any = at::bincount(labels, {}, classes).unsqueeze(1) > 0;
    const at::Tensor means = to_unit(sums);
    // Embeddings of many networks lie in a narrow cone: what tells classes apart is where their
    // means lie as seen from the middle of all.
    const at::Tensor middle = means.sum(0, true) / has_any.sum();
    const at::Tensor apart = to_unit(means - middle).repeat_interleave(of_class, 0);
    const at::Tensor known =
        has_any.repeat_interleave(of_class, 0).logical_and(apart.norm(2, 1, true) > 0);
    vectors.copy_(
        at::where(known, of_class > 1 ? apart + kSubCentreSpread * vectors : apart, vectors));
  }
}

}  // namespace vsearch::training

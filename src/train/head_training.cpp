#include "train/head_training.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/optim/adamw.h>

#include <chrono>
#include <cmath>
#include <string_view>
#include <utility>

#include "train/grouped_sampler.h"
#include "train/head_maps.h"
#include "train/held_out.h"
#include "train/losses_common.h"
#include "train/tensors.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

using Clock = std::chrono::steady_clock;

// So many pictures are measured with after each epoch: it takes no longer than the epoch.
constexpr std::size_t kHeldOutAtMost = 20'000;

class HeadTraining {
 public:
  HeadTraining(const TrainingSet& set, const Matrix& embeddings, const TrainOptions& options,
               const Recipe& recipe, const TrainProgress& progress, TrainReport& report)
      : set_(set),
        options_(options),
        recipe_(recipe),
        progress_(progress),
        report_(report),
        features_(to_unit(rows_of(embeddings, set.pictures))),
        held_out_task_(held_out_task(set, kHeldOutAtMost)),
        held_out_(rows_of(embeddings, held_out_task_.pictures)),
        labels_(tensor_of(set.labels)) {}

  Head run() {
    const std::int64_t dim = options_.dim == 0 ? features_.size(1) : options_.dim;
    if (dim == features_.size(1)) {
      head_ = {at::eye(dim), at::zeros({dim})};  // the start itself
      measure(0, 0, 0);
    } else {
      const HeldOutScore start = score_held_out(held_out_task_, view_of_rows(held_out_));
      report_.epochs.push_back({0, 0, 0, 0, 0, start.map, start.recall_at_1});
    }
    head_ = computed_head(options_.head, features_, labels_, dim);
    if (options_.head != HeadKind::kLearned) {
      report_.held_out_map = score_now().map;
      if (progress_ && !progress_({1, 1, 1, 1, 0, 0})) {
        throw Error(ErrorCode::kCancelled, "asked to stop before the head was written");
      }
      return head_;
    }
    keep_if_best(0, score_now());

    loss_ = make_loss(
        loss_settings(options_, recipe_, set_.classes.size(), static_cast<std::size_t>(dim)));
    {
      const at::NoGradGuard no_gradients;
      start_at_means(*loss_, through_head(head_, features_), labels_,
                     static_cast<std::int64_t>(set_.classes.size()));
    }
    if (options_.hidden > 0) head_.hidden = new_units();
    std::vector<at::Tensor> parameters = loss_->parameters();
    for (const at::Tensor& own : tensors_of(head_)) {
      parameters.push_back(own.requires_grad_(true));
    }
    optimizer_ = std::make_unique<torch::optim::AdamW>(
        parameters,
        torch::optim::AdamWOptions(recipe_.head_rate).weight_decay(options_.weight_decay));

    const GroupedSampler sampler(set_.labels, set_.groups, options_.in_turn,
                                 sampler_settings(set_, options_, recipe_));
    if (options_.own_classifiers) {
      among_ =
          class_masks(sampler.classes(), static_cast<std::int64_t>(set_.classes.size()), at::kCPU);
    }
    std::uint32_t since_best = 0;
    for (std::uint32_t epoch = 1; epoch <= recipe_.epochs; ++epoch) {
      if (!learn(epoch, sampler)) break;
      since_best = is_best_ ? 0 : since_best + 1;
      if (options_.patience > 0 && since_best >= options_.patience) {
        report_.stopped = "no better in " + std::to_string(since_best) + " epochs";
        break;
      }
    }
    return best_;
  }

 private:
  // They see what whitening makes of the features, each in a direction by chance, and begin without
  // a say in what comes out.
  HiddenUnits new_units() const {
    const at::NoGradGuard no_gradients;
    at::Generator random = at::make_generator<at::CPUGeneratorImpl>(options_.seed);
    const std::int64_t dim = head_.weight.size(0);
    const at::Tensor mixed =
        at::randn({options_.hidden, dim}, random, at::TensorOptions(at::kFloat));
    return {mixed.matmul(head_.weight), mixed.mv(head_.bias), at::zeros({dim, options_.hidden})};
  }

  // One epoch; false: the caller asked to stop, or the loss is no number any more.
  bool learn(std::uint32_t epoch, const GroupedSampler& sampler) {
    const auto began = Clock::now();
    const auto batches = sampler.epoch(epoch);
    const std::uint64_t steps = std::uint64_t{recipe_.epochs} * batches.size();
    double sum = 0;
    double rate = 0;
    std::size_t pictures = 0;
    const auto diverged = [&](std::string_view what, std::size_t step) {
      report_.stopped = fmt::format(
          "{} became no number in epoch {}, step {}: the best epoch before it was kept; train "
          "with lower rates",
          what, epoch, step + 1);
      return false;
    };
    for (std::size_t step = 0; step < batches.size(); ++step) {
      const std::uint64_t done = (epoch - 1) * batches.size() + step;
      rate = recipe_.head_rate * rate_factor(done, steps, options_.warm_up);
      for (auto& group : optimizer_->param_groups()) group.options().set_lr(rate);
      const double loss = take_step(batches[step]);
      if (!std::isfinite(loss)) return diverged("the loss", step);
      sum += loss;
      pictures += batches[step].rows.size();
      if (progress_) {
        const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
        const TrainState state{
            epoch,
            recipe_.epochs,
            step + 1,
            batches.size(),
            loss,
            seconds / static_cast<double>(done + 1) * static_cast<double>(steps - done - 1)};
        if (!progress_(state)) {
          if (epoch == 1) {
            throw Error(ErrorCode::kCancelled, "asked to stop before anything was learned");
          }
          report_.stopped = "asked to stop in epoch " + std::to_string(epoch);
          return false;
        }
      }
    }
    for (const at::Tensor& own : tensors_of(head_)) {
      if (!own.isfinite().all().item<bool>()) return diverged("the head", batches.size() - 1);
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    measure(epoch, sum / static_cast<double>(batches.size()), rate, seconds,
            static_cast<double>(pictures) / seconds);
    return true;
  }

  double take_step(const GroupBatch& batch) {
    const std::vector<std::int64_t> rows(batch.rows.begin(), batch.rows.end());
    const at::Tensor chosen = at::tensor(rows, at::kLong);
    const at::Tensor embeddings = through_head(head_, features_.index_select(0, chosen));
    const at::Tensor among = among_.empty() ? at::Tensor() : among_[batch.group];
    const at::Tensor loss = loss_->compute(embeddings, labels_.index_select(0, chosen), among);
    optimizer_->zero_grad();
    loss.backward();
    optimizer_->step();
    return loss.item<double>();
  }

  void measure(std::uint32_t epoch, double loss, double rate, double seconds = 0,
               double per_second = 0) {
    const at::NoGradGuard no_gradients;
    TrainEpoch entry;
    entry.epoch = epoch;
    entry.loss = loss;
    entry.rate = rate;
    entry.seconds = seconds;
    entry.pictures_per_second = per_second;
    const HeldOutScore score = score_now();
    entry.held_out_map = score.map;
    entry.held_out_recall_at_1 = score.recall_at_1;
    report_.epochs.push_back(entry);
    keep_if_best(epoch, score);
  }

  HeldOutScore score_now() const {
    const at::NoGradGuard no_gradients;
    if (held_out_task_.queries == 0) return {std::nan(""), std::nan("")};
    const at::Tensor rows = apply_head(head_, held_out_).contiguous();
    return score_held_out(held_out_task_, view_of_rows(rows));
  }

  void keep_if_best(std::uint32_t epoch, const HeldOutScore& score) {
    is_best_ = !(score.map <= best_map_);  // without anything held out the last is the best
    if (!is_best_) return;
    best_map_ = score.map;
    report_.held_out_map = score.map;
    report_.best_epoch = epoch;
    best_ = copy_of(head_);
  }

  const TrainingSet& set_;
  const TrainOptions& options_;
  const Recipe& recipe_;
  const TrainProgress& progress_;
  TrainReport& report_;
  const at::Tensor features_;  // [pictures, dim before], of length 1
  const HeldOutTask held_out_task_;
  const at::Tensor held_out_;  // [its pictures, dim before]
  const at::Tensor labels_;
  Head head_;
  Head best_;
  double best_map_ = -1;
  bool is_best_ = false;
  std::unique_ptr<RetrievalLoss> loss_;
  std::vector<at::Tensor> among_;  // by group of the sampler; empty: all classes
  std::unique_ptr<torch::optim::AdamW> optimizer_;
  const Clock::time_point started_ = Clock::now();
};

}  // namespace

void check_head_dim(const TrainOptions& options, std::size_t dim_before, std::size_t classes) {
  if (options.depth != TrainDepth::kHead || options.dim == 0) return;
  if (options.dim > dim_before) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("dim is {}; the encoder gives {}, and a head makes no more of them",
                            options.dim, dim_before));
  }
  if (options.head == HeadKind::kLda && options.dim < dim_before && options.dim >= classes) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("dim is {}; {} classes lie apart in {} directions, which is the most "
                            "that lda can keep",
                            options.dim, classes, classes - 1));
  }
}

Head train_head(const TrainingSet& set, const Matrix& embeddings, const TrainOptions& options,
                const Recipe& recipe, const TrainProgress& progress, TrainReport& report) {
  return HeadTraining(set, embeddings, options, recipe, progress, report).run();
}

}  // namespace vsearch::training

#include "train/head_training.h"

#include <ATen/Parallel.h>
#include <torch/optim/adamw.h>

#include <chrono>
#include <cmath>
#include <tuple>
#include <utility>

#include "train/grouped_sampler.h"
#include "train/held_out.h"
#include "train/losses_common.h"
#include "train/tensors.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kShrinkage = 0.1;
// So many pictures are measured with after each epoch: it takes no longer than the epoch.
constexpr std::size_t kHeldOutAtMost = 20'000;
constexpr std::int64_t kRowsAtOnce = 16'384;

// Eigenvalues, ascending, and eigenvectors of a symmetric matrix. On one thread: several wait for
// each other at every column, which takes ten times as long, and minutes on a busy machine.
std::tuple<at::Tensor, at::Tensor> eigenvectors_of(const at::Tensor& matrix) {
  struct OneThread {
    const int before = at::get_num_threads();
    OneThread() { at::set_num_threads(1); }
    ~OneThread() { at::set_num_threads(before); }
    OneThread(const OneThread&) = delete;
    OneThread& operator=(const OneThread&) = delete;
  };
  const OneThread one;
  return at::linalg_eigh(matrix);
}

// A matrix to the power -1/2, of one that is symmetric and positive.
at::Tensor inverse_root(const at::Tensor& matrix) {
  const auto [values, vectors] = eigenvectors_of(matrix);
  return vectors.matmul(values.clamp_min(1e-12).rsqrt().unsqueeze(1) * vectors.t());
}

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
    if (dim > features_.size(1)) {
      throw Error(ErrorCode::kInvalidArgument,
                  "dim is " + std::to_string(dim) + "; the encoder gives " +
                      std::to_string(features_.size(1)) + ", and a head makes no more of them");
    }
    if (dim == features_.size(1)) {
      head_ = {at::eye(dim), at::zeros({dim})};  // the start itself
      measure(0, 0, 0);
    } else {
      const HeldOutScore start = score_held_out(held_out_task_, view_of_rows(held_out_));
      report_.epochs.push_back({0, 0, 0, 0, 0, start.map, start.recall_at_1});
    }
    head_ = whitening_head(features_, labels_, dim, kShrinkage);
    keep_if_best(0, score_now());
    head_.weight.requires_grad_(true);
    head_.bias.requires_grad_(true);

    loss_ = make_loss(
        loss_settings(options_, recipe_, set_.classes.size(), static_cast<std::size_t>(dim)));
    {
      const at::NoGradGuard no_gradients;
      start_at_means(*loss_, at::linear(features_, head_.weight, head_.bias), labels_,
                     static_cast<std::int64_t>(set_.classes.size()));
    }
    std::vector<at::Tensor> parameters = loss_->parameters();
    parameters.push_back(head_.weight);
    parameters.push_back(head_.bias);
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
  // One epoch; false: the caller asked to stop, or the loss is no number any more.
  bool learn(std::uint32_t epoch, const GroupedSampler& sampler) {
    const auto began = Clock::now();
    const auto batches = sampler.epoch(epoch);
    const std::uint64_t steps = std::uint64_t{recipe_.epochs} * batches.size();
    double sum = 0;
    double rate = 0;
    for (std::size_t step = 0; step < batches.size(); ++step) {
      const std::uint64_t done = (epoch - 1) * batches.size() + step;
      rate = recipe_.head_rate * rate_factor(done, steps, options_.warm_up);
      for (auto& group : optimizer_->param_groups()) group.options().set_lr(rate);
      const double loss = take_step(batches[step]);
      if (!std::isfinite(loss)) {
        report_.stopped = "the loss became no number in epoch " + std::to_string(epoch) +
                          ", step " + std::to_string(step + 1) +
                          ": the best epoch before it was kept; train with lower rates";
        return false;
      }
      sum += loss;
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
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    measure(epoch, sum / static_cast<double>(batches.size()), rate, seconds,
            static_cast<double>(batches.size() * recipe_.batch_size) / seconds);
    return true;
  }

  double take_step(const GroupBatch& batch) {
    const std::vector<std::int64_t> rows(batch.rows.begin(), batch.rows.end());
    const at::Tensor chosen = at::tensor(rows, at::kLong);
    const at::Tensor embeddings =
        at::linear(features_.index_select(0, chosen), head_.weight, head_.bias);
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
    best_ = {head_.weight.detach().clone(), head_.bias.detach().clone()};
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

Head whitening_head(const at::Tensor& features, const at::Tensor& labels, std::int64_t dim,
                    double shrinkage) {
  const at::NoGradGuard no_gradients;
  const std::int64_t width = features.size(1);
  const std::int64_t classes = labels.max().item<std::int64_t>() + 1;
  const at::Tensor counts = at::bincount(labels, {}, classes).to(at::kDouble);
  at::Tensor sums = at::zeros({classes, width}, at::kDouble);
  at::Tensor products = at::zeros({width, width}, at::kDouble);
  for (std::int64_t begin = 0; begin < features.size(0); begin += kRowsAtOnce) {
    const std::int64_t count = std::min(kRowsAtOnce, features.size(0) - begin);
    const at::Tensor rows = features.narrow(0, begin, count).to(at::kDouble);
    sums.index_add_(0, labels.narrow(0, begin, count), rows);
    products += rows.t().matmul(rows);
  }
  const at::Tensor means = sums / counts.clamp_min(1).unsqueeze(1);
  const auto n = static_cast<double>(features.size(0));
  // The mean of (x - m)(x - m)' over all x, m the mean of its class.
  at::Tensor within = (products - sums.t().matmul(means)) / n;
  const double mean_variance = within.diagonal().mean().item<double>();
  within =
      within * (1 - shrinkage) + at::eye(width, at::kDouble) * (shrinkage * mean_variance + 1e-9);
  at::Tensor map = inverse_root(within);
  const at::Tensor centre = sums.sum(0) / n;
  if (dim < width) {
    // Where classes lie furthest apart after that.
    const at::Tensor apart = (means - centre).matmul(map) * counts.sqrt().unsqueeze(1);
    const at::Tensor vectors = std::get<1>(eigenvectors_of(apart.t().matmul(apart)));
    map = vectors.slice(1, width - dim).t().matmul(map);
  }
  // As long as what comes in, so that rates mean the same for every encoder.
  map = map * (std::sqrt(static_cast<double>(dim)) / map.norm());
  return {map.to(at::kFloat).contiguous(), -map.matmul(centre).to(at::kFloat).contiguous()};
}

at::Tensor apply_head(const Head& head, const at::Tensor& embeddings) {
  return at::linear(to_unit(embeddings), head.weight, head.bias);
}

Head train_head(const TrainingSet& set, const Matrix& embeddings, const TrainOptions& options,
                const Recipe& recipe, const TrainProgress& progress, TrainReport& report) {
  return HeadTraining(set, embeddings, options, recipe, progress, report).run();
}

}  // namespace vsearch::training

#include "train/text_training.h"

#include <fmt/format.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "eval/seeded.h"
#include "train/losses_common.h"
#include "train/recipe.h"
#include "train/sampler.h"
#include "train/text_learner.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

using TextClock = std::chrono::steady_clock;

constexpr std::size_t kFewestTexts = 20;
constexpr std::size_t kMeasuredTexts = 10'000;
constexpr std::size_t kExamples = 10;
constexpr std::size_t kFoundTexts = 5;
constexpr double kTextWarmUp = 0.1;
const double kFirstScale = std::log(1 / 0.07);  // as CLIP's
const double kLargestScale = std::log(100.0);

double seconds_from(TextClock::time_point began) {
  return std::chrono::duration<double>(TextClock::now() - began).count();
}

class TextTraining {
 public:
  TextTraining(const TitledPictures& data, const torch::jit::Module* sentence,
               const TextTrainOptions& options, const TextTrainProgress& progress,
               TextTrainReport& report)
      : data_(data), options_(options), progress_(progress), report_(report) {
    hold_out();
    const std::size_t dim = data.embeddings.cols;
    learner_ = sentence == nullptr ? learn_pieces(data.texts, learned_texts(), dim, options, report)
                                   : learn_sentences(data.texts, *sentence, dim, options, progress);
    parameters_ = learner_->parameters();
  }

  torch::jit::Module run() {
    at::Tensor scale = at::full({}, kFirstScale).requires_grad_(true);
    std::vector<at::Tensor> values{scale};
    for (const at::Tensor& parameter : parameters_) {
      values.push_back(parameter.requires_grad_(true));
    }
    torch::optim::AdamW optimizer(
        values, torch::optim::AdamWOptions(options_.rate).weight_decay(options_.weight_decay));
    started_ = TextClock::now();
    std::uint32_t since_best = 0;
    for (std::uint32_t epoch = 1; epoch <= options_.epochs; ++epoch) {
      if (!learn(epoch, scale, optimizer)) break;
      since_best = is_best_ ? 0 : since_best + 1;
      if (options_.patience > 0 && since_best >= options_.patience) {
        report_.stopped = fmt::format("no better in {} epochs", since_best);
        break;
      }
    }
    const at::NoGradGuard no_gradients;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      parameters_[i].requires_grad_(false).copy_(best_.at(i));
    }
    show_examples();
    return learner_->tower();
  }

 private:
  // Of every text wholly or not at all.
  void hold_out() {
    const std::size_t texts = data_.texts.size();
    if (texts < kFewestTexts) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("there are {} different texts to learn from, and {} are needed; name "
                              "fields that tell items apart, such as the title",
                              texts, kFewestTexts));
    }
    std::vector<std::int32_t> order(texts);
    for (std::size_t i = 0; i < texts; ++i) order[i] = static_cast<std::int32_t>(i);
    eval::Seeded random(derived_seed(options_.seed, 0));
    random.shuffle(std::span(order));
    const auto count =
        static_cast<std::size_t>(std::ceil(options_.held_out * static_cast<double>(texts)));
    std::vector<bool> is_held_out(texts, false);
    for (std::size_t i = 0; i < count; ++i) {
      is_held_out[static_cast<std::size_t>(order[i])] = true;
      if (i < kMeasuredTexts) measured_texts_.push_back(order[i]);
    }
    std::ranges::sort(measured_texts_);
    std::vector<std::uint64_t> answers(texts, 0);
    for (std::size_t pair = 0; pair < data_.text_of.size(); ++pair) {
      const std::int32_t text = data_.text_of[pair];
      if (!is_held_out[static_cast<std::size_t>(text)]) {
        learned_.push_back(static_cast<std::int64_t>(pair));
        continue;
      }
      if (std::ranges::binary_search(measured_texts_, text)) {
        measured_.push_back(static_cast<std::int64_t>(pair));
        ++answers[static_cast<std::size_t>(text)];
      }
    }
    report_.held_out = measured_.size();
    report_.pairs = learned_.size();
    report_.texts = texts - count;
    // 1 - the chance that none of 10 drawn without putting back is right.
    for (const std::int32_t text : measured_texts_) {
      double none = 1;
      const auto all = static_cast<double>(measured_.size());
      const auto right = static_cast<double>(answers[static_cast<std::size_t>(text)]);
      for (int i = 0; i < 10 && all - i > 0; ++i)
        none *= std::max(0.0, (all - right - i) / (all - i));
      report_.chance_at_10 += (1 - none) / static_cast<double>(measured_texts_.size());
    }
  }

  // Their numbers, ascending.
  std::vector<std::int32_t> learned_texts() const {
    std::vector<std::int32_t> texts;
    for (const std::int64_t pair : learned_) {
      texts.push_back(data_.text_of[static_cast<std::size_t>(pair)]);
    }
    std::ranges::sort(texts);
    texts.erase(std::ranges::unique(texts).begin(), texts.end());
    return texts;
  }

  // One epoch; false: the caller asked to stop, or the loss is no number any more.
  bool learn(std::uint32_t epoch, at::Tensor& scale, torch::optim::AdamW& optimizer) {
    const auto began = TextClock::now();
    eval::Seeded random(derived_seed(options_.seed, std::uint64_t{epoch} + 1));
    random.shuffle(std::span(learned_));
    const std::size_t batch = std::min<std::size_t>(options_.batch_size, learned_.size());
    const std::size_t count = learned_.size() / batch;  // what is left over comes another time
    const std::uint64_t steps = std::uint64_t{options_.epochs} * count;
    double sum = 0;
    for (std::size_t step = 0; step < count; ++step) {
      const std::uint64_t done = (epoch - 1) * count + step;
      for (auto& group : optimizer.param_groups()) {
        group.options().set_lr(options_.rate * rate_factor(done, steps, kTextWarmUp));
      }
      const double loss =
          take_step({learned_.data() + step * batch, batch}, scale, optimizer, random);
      if (!std::isfinite(loss)) {
        report_.stopped = fmt::format(
            "the loss became no number in epoch {}, step {}: the best epoch before it was kept; "
            "train with a lower rate",
            epoch, step + 1);
        return stop(epoch);
      }
      sum += loss;
      const double each = seconds_from(started_) / static_cast<double>(done + 1);
      if (progress_ && !progress_({epoch, options_.epochs, step + 1, count, loss,
                                   each * static_cast<double>(steps - done - 1)})) {
        report_.stopped = fmt::format("asked to stop in epoch {}", epoch);
        return stop(epoch);
      }
    }
    TextTrainEpoch entry;
    entry.epoch = epoch;
    entry.loss = sum / static_cast<double>(count);
    entry.seconds = seconds_from(began);
    measure(entry);
    return true;
  }

  bool stop(std::uint32_t epoch) const {
    if (epoch == 1) {
      throw Error(ErrorCode::kCancelled, report_.stopped + ", before anything was learned");
    }
    return false;
  }

  double take_step(std::span<const std::int64_t> pairs, at::Tensor& scale,
                   torch::optim::AdamW& optimizer, eval::Seeded& random) {
    std::vector<std::int32_t> texts;
    texts.reserve(pairs.size());
    for (const std::int64_t pair : pairs) {
      texts.push_back(data_.text_of[static_cast<std::size_t>(pair)]);
    }
    const at::Tensor labels = at::tensor(texts, at::kInt);
    const at::Tensor embedded = to_unit(learner_->embed_some(texts, random));
    const at::Tensor products = embedded.matmul(pictures(pairs).t()) * scale.exp();
    const at::Tensor is_right = labels.unsqueeze(1).eq(labels.unsqueeze(0)).to(at::kFloat);
    const at::Tensor wanted = is_right / is_right.sum(1, true);
    const at::Tensor loss =
        -((wanted * products.log_softmax(1)).sum(1) + (wanted * products.t().log_softmax(1)).sum(1))
             .mean() /
        2;
    optimizer.zero_grad();
    loss.backward();
    const double value = loss.item<double>();
    if (!std::isfinite(value)) return value;
    optimizer.step();
    const at::NoGradGuard no_gradients;
    scale.clamp_max_(kLargestScale);
    return value;
  }

  at::Tensor pictures(std::span<const std::int64_t> pairs) const {
    const auto cols = static_cast<std::int64_t>(data_.embeddings.cols);
    at::Tensor rows = at::empty({static_cast<std::int64_t>(pairs.size()), cols});
    float* out = rows.data_ptr<float>();
    for (const std::int64_t pair : pairs) {
      out = std::ranges::copy(data_.embeddings.row(static_cast<std::size_t>(pair)), out).out;
    }
    return rows;
  }

  // Cosines of held-out texts [texts, measured pictures].
  at::Tensor cosines(std::span<const std::int32_t> texts) const {
    const at::NoGradGuard no_gradients;
    if (!held_out_.defined()) held_out_ = pictures(measured_);
    return to_unit(learner_->embed(texts)).matmul(held_out_.t()).contiguous();
  }

  // Where the first right picture stands, from 1. What is as near as it counts half.
  double place_of(std::int32_t text, const float* row) const {
    float best = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < measured_.size(); ++i) {
      if (is_of(i, text)) best = std::max(best, row[i]);
    }
    double place = 1;
    for (std::size_t i = 0; i < measured_.size(); ++i) {
      if (is_of(i, text)) continue;
      if (row[i] > best) place += 1;
      if (row[i] == best) place += 0.5;
    }
    return place;
  }

  bool is_of(std::size_t measured, std::int32_t text) const {
    return data_.text_of[static_cast<std::size_t>(measured_[measured])] == text;
  }

  void measure(TextTrainEpoch& entry) {
    constexpr std::size_t kAtOnce = 256;
    if (measured_.empty()) {
      entry.recall_at_1 = entry.recall_at_10 = entry.mean_reciprocal_rank = std::nan("");
    }
    const auto n = static_cast<double>(measured_texts_.size());
    for (std::size_t begin = 0; begin < measured_texts_.size(); begin += kAtOnce) {
      const std::span<const std::int32_t> texts(measured_texts_.data() + begin,
                                                std::min(kAtOnce, measured_texts_.size() - begin));
      const at::Tensor rows = cosines(texts);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const double place = place_of(texts[i], rows.data_ptr<float>() + i * measured_.size());
        entry.recall_at_1 += place < 2 ? 1 / n : 0;
        entry.recall_at_10 += place < 11 ? 1 / n : 0;
        entry.mean_reciprocal_rank += 1 / place / n;
      }
    }
    report_.epochs.push_back(entry);
    is_best_ = !(entry.mean_reciprocal_rank <= best_rank_);  // nothing held out: the last is best
    if (!is_best_) return;
    best_rank_ = entry.mean_reciprocal_rank;
    report_.best_epoch = entry.epoch;
    best_.clear();
    for (const at::Tensor& parameter : parameters_) best_.push_back(parameter.detach().clone());
  }

  void show_examples() const {
    const std::size_t count = std::min(kExamples, measured_texts_.size());
    for (std::size_t i = 0; i < count; ++i) {
      const std::int32_t text = measured_texts_[i * measured_texts_.size() / count];
      const at::Tensor row = cosines({&text, 1});
      TextExample example;
      example.text = data_.texts[static_cast<std::size_t>(text)];
      example.place = static_cast<std::uint32_t>(place_of(text, row.data_ptr<float>()));
      const auto most = std::min<std::int64_t>(kFoundTexts, row.size(1));
      const at::Tensor found = std::get<1>(row[0].topk(most));
      for (std::int64_t k = 0; k < most; ++k) {
        const auto pair = static_cast<std::size_t>(
            measured_[static_cast<std::size_t>(found[k].item<std::int64_t>())]);
        example.found.push_back(
            {data_.keys[pair], data_.texts[static_cast<std::size_t>(data_.text_of[pair])]});
      }
      report_.examples.push_back(std::move(example));
    }
  }

  const TitledPictures& data_;
  const TextTrainOptions& options_;
  const TextTrainProgress& progress_;
  TextTrainReport& report_;
  std::vector<std::int64_t> learned_;         // pairs
  std::vector<std::int64_t> measured_;        // pairs of measured_texts_
  std::vector<std::int32_t> measured_texts_;  // ascending
  std::unique_ptr<TextLearner> learner_;
  std::vector<at::Tensor> parameters_;  // of the learner
  mutable at::Tensor held_out_;         // [measured_, dim], made when it is first needed
  std::vector<at::Tensor> best_;
  double best_rank_ = -1;
  bool is_best_ = false;
  TextClock::time_point started_;  // of the first step
};

}  // namespace

std::vector<at::Tensor> TextLearner::parameters() const {
  std::vector<at::Tensor> own;
  for (const auto& parameter : tower_.named_parameters(/*recurse=*/false)) {
    own.push_back(parameter.value);
  }
  return own;
}

torch::jit::Module train_tower(const TitledPictures& data, const torch::jit::Module* sentence,
                               const TextTrainOptions& options, const TextTrainProgress& progress,
                               TextTrainReport& report) {
  return TextTraining(data, sentence, options, progress, report).run();
}

}  // namespace vsearch::training

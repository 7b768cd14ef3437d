#include "train/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "train/augmentation.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

constexpr double kLastRate = 0.01;
constexpr std::uint32_t kMostHidden = 65'536;
// Adapters begin at nothing: they have further to go than what they are added to.
constexpr double kAdapterRate = 1e-3;

// Margins and scales that do well on some thousand pictures of some dozen to some hundred classes;
// the papers' are those for millions of faces.
double tuned_margin(Loss loss, bool is_head) {
  const bool is_angular = loss == Loss::kArcFace || loss == Loss::kSubCentreArcFace;
  if (!is_angular) return usual_margin(loss);
  return is_head ? 0.5 : 0.3;
}

double tuned_scale(Loss loss, bool is_head) {
  switch (loss) {
    case Loss::kArcFace:
    case Loss::kSubCentreArcFace:
    case Loss::kCosFace:
    case Loss::kNormSoftmax:
      return is_head ? 12 : 24;
    default:
      return usual_scale(loss);
  }
}

bool compares_pictures(Loss loss) {
  return loss == Loss::kSupCon || loss == Loss::kTriplet || loss == Loss::kMultiSimilarity;
}

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, message);
}

void require(bool is_right, const char* option, double value, const char* range) {
  if (is_right) return;
  refuse(fmt::format("{} is {}; it must be {}", option, value, range));
}

void check_ranges(const TrainOptions& options, const Recipe& recipe) {
  require(recipe.epochs > 0, "epochs", 0, "at least 1");
  require(recipe.batch_size > 1, "batch_size", recipe.batch_size, "at least 2");
  require(recipe.rate > 0 && recipe.rate <= 1, "rate", recipe.rate, "above 0, at most 1");
  require(recipe.head_rate > 0 && recipe.head_rate <= 1, "head_rate", recipe.head_rate,
          "above 0, at most 1");
  require(options.weight_decay >= 0 && options.weight_decay <= 1, "weight_decay",
          options.weight_decay, "0 to 1");
  require(options.layer_decay > 0 && options.layer_decay <= 1, "layer_decay", options.layer_decay,
          "above 0, at most 1");
  require(options.warm_up >= 0 && options.warm_up < 1, "warm_up", options.warm_up,
          "0 to less than 1, a share of the steps");
  require(options.clip_gradients >= 0 && std::isfinite(options.clip_gradients), "clip_gradients",
          options.clip_gradients, "0 (not) or more");
  require(options.keep_start >= 0 && std::isfinite(options.keep_start), "keep_start",
          options.keep_start, "0 (not) or more");
  require(options.accumulate > 0, "accumulate", 0, "at least 1");
  require(options.mean_decay >= 0 && options.mean_decay < 1, "mean_decay", options.mean_decay,
          "0 (not) to less than 1");
  require(options.hidden <= kMostHidden, "hidden", options.hidden, "at most 65,536");
  require(options.cut_mix >= 0 && options.cut_mix <= 1, "cut_mix", options.cut_mix,
          "0 to 1, how often");
  if (options.precision == Precision::kFloat16 || options.precision == Precision::kInt8) {
    refuse(fmt::format("precision is {}; training takes fp32 or bf16",
                       precision_name(options.precision)));
  }
  if (options.batch_field.empty() && (options.in_turn || options.own_classifiers)) {
    refuse(
        fmt::format("{} is about batches of one value of a field, and batch_field is empty; "
                    "name the field, or \"domain\"",
                    options.in_turn ? "in_turn" : "own_classifiers"));
  }
  if (options.own_classifiers && compares_pictures(options.loss)) {
    refuse(
        fmt::format("own_classifiers: {} compares pictures and has no class vectors; leave it out, "
                    "or take a loss that has, such as arcface",
                    loss_name(options.loss)));
  }
}

// What is of a network's steps means nothing to a head.
void check_head_options(const TrainOptions& options) {
  std::vector<const char*> strange;
  if (options.rate) strange.push_back("rate (a head's is head_rate)");
  if (options.layer_decay != 1) strange.push_back("layer_decay");
  if (options.keep_start > 0) strange.push_back("keep_start");
  if (options.optimiser != Optimiser::kAdamW) strange.push_back("optimiser");
  if (options.accumulate != 1) strange.push_back("accumulate");
  if (options.mean_decay != 0) strange.push_back("mean_decay");
  if (options.lora_rank > 0) strange.push_back("lora_rank");
  if (options.cut_mix > 0) strange.push_back("cut_mix");
  if (!strange.empty()) {
    refuse(
        fmt::format("{}: of a network, and a head has no use for it; leave it out, or take the "
                    "depth partial or full",
                    fmt::join(strange, ", ")));
  }
  if (options.head != HeadKind::kLearned && options.hidden > 0) {
    refuse(
        fmt::format("hidden is {}; a head of kind {} is computed at once, and only a learned "
                    "one has hidden units",
                    options.hidden, head_name(options.head)));
  }
}

void check_network_options(const TrainOptions& options) {
  if (options.dim > 0) {
    refuse(
        fmt::format("dim is {}; only a head changes how long embeddings are: leave it at 0, "
                    "and put a head behind the tuned package afterwards",
                    options.dim));
  }
  if (options.head != HeadKind::kLearned || options.hidden > 0) {
    refuse("head and hidden are of a head; leave them out, or take the depth head");
  }
  if (options.cut_mix > 0 && compares_pictures(options.loss)) {
    refuse(
        fmt::format("cut_mix is {}; {} compares pictures, and one of two labels is no picture "
                    "of either: take a loss with class vectors, such as arcface",
                    options.cut_mix, loss_name(options.loss)));
  }
}

}  // namespace

Recipe make_recipe(const TrainOptions& options) {
  const bool is_head = options.depth == TrainDepth::kHead;
  Recipe recipe;
  recipe.epochs = options.epochs.value_or(is_head ? 60 : 12);
  recipe.batch_size = options.batch_size.value_or(is_head ? 256 : 48);
  const double network_rate = options.depth == TrainDepth::kPartial ? 1e-4 : 6e-5;
  recipe.rate = options.rate.value_or(options.lora_rank > 0 ? kAdapterRate : network_rate);
  recipe.plain_rate = options.lora_rank > 0 ? std::min(recipe.rate, network_rate) : recipe.rate;
  recipe.head_rate = options.head_rate.value_or(is_head ? 1e-3 : 1e-2);
  recipe.margin = options.margin.value_or(tuned_margin(options.loss, is_head));
  recipe.scale = options.scale.value_or(tuned_scale(options.loss, is_head));
  recipe.per_class = options.per_class;
  if (recipe.per_class == 0 && compares_pictures(options.loss)) recipe.per_class = 4;

  check_ranges(options, recipe);
  if (is_head) {
    check_head_options(options);
  } else {
    check_network_options(options);
  }
  check_augmentation(options.augmentation);
  return recipe;
}

LossSettings loss_settings(const TrainOptions& options, const Recipe& recipe, std::size_t classes,
                           std::size_t dim) {
  LossSettings settings;
  settings.loss = options.loss;
  settings.margin = recipe.margin;
  settings.scale = recipe.scale;
  settings.classes = static_cast<std::int64_t>(classes);
  settings.dim = static_cast<std::int64_t>(dim);
  settings.sub_centres = options.sub_centres;
  settings.seed = options.seed;
  return settings;
}

SamplerSettings sampler_settings(const TrainingSet& set, const TrainOptions& options,
                                 const Recipe& recipe) {
  SamplerSettings settings;
  settings.batch_size = recipe.batch_size;
  settings.per_class = recipe.per_class;
  settings.balance_classes = options.balance_classes;
  settings.balanced = set.balanced;
  settings.seed = options.seed;
  return settings;
}

double rate_factor(std::uint64_t step, std::uint64_t steps, double warm_up) {
  const double at = (static_cast<double>(step) + 1) / static_cast<double>(steps);
  if (at < warm_up) return at / warm_up;
  const double done = std::min(1.0, (at - warm_up) / (1 - warm_up));
  return kLastRate + (1 - kLastRate) * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace vsearch::training

// The numbers of a run: those that the caller gave, and for the others what does well
// (docs/training.md).
#pragma once

#include <cstddef>
#include <cstdint>

#include "train/losses.h"
#include "train/sampler.h"
#include "train/training_set.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

inline constexpr char kTrainingMemoryRemedy[] =
    "take a smaller batch, --depth partial with fewer blocks, or --depth head";

struct Recipe {
  std::uint32_t epochs = 0;
  std::uint32_t batch_size = 0;
  std::uint32_t per_class = 0;
  double rate = 0;        // of the network's parameters
  double plain_rate = 0;  // of those without an adapter (lora_rank)
  double head_rate = 0;   // of the linear map and of the class vectors
  double margin = 0;
  double scale = 0;
};

// Throws kInvalidArgument, naming the option, for numbers that make no sense.
Recipe make_recipe(const TrainOptions& options);

// What the loss and the sampler are made with.
LossSettings loss_settings(const TrainOptions& options, const Recipe& recipe, std::size_t classes,
                           std::size_t dim);
SamplerSettings sampler_settings(const TrainingSet& set, const TrainOptions& options,
                                 const Recipe& recipe);

// Rates rise in a line during the first `warm_up` of all steps, then fall along half a cosine to
// a hundredth (Loshchilov and Hutter, arXiv 1608.03983). step counts from 0; the result is 0 to 1.
double rate_factor(std::uint64_t step, std::uint64_t steps, double warm_up);

}  // namespace vsearch::training

// Tuning the parameters of a network.
#pragma once

#include <torch/script.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "encoder/torch_archive.h"
#include "train/optimisation.h"
#include "train/recipe.h"
#include "train/training_set.h"
#include "vsearch/encoder.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

// Those of `network` that options.depth and blocks choose, in the network's own order, but for a
// text tower ("text."), and where the package has words for the heads that these go through, too.
// Blocks are told by their names, up to the first part that is a number
// ("blocks.11" of "blocks.11.mlp.weight", "layer4.0" of "layer4.0.conv1.weight"), and counted as
// they come. Of kPartial the last options.blocks of them, what follows them, and every norm, told
// by its name (norm, bn, ln) or its buffers (batch norms). Each block before learns more slowly by
// options.layer_decay, and what stands before the first by one more.
// Throws kBadModel, naming `path`, if there are none.
std::vector<TunedParameter> choose_parameters(const torch::jit::Module& network,
                                              const TrainOptions& options, const std::string& path,
                                              bool has_words);

// How many numbers encode_image() of `network` is made of: those of a text tower are not counted.
std::uint64_t image_parameter_count(const torch::jit::Module& network);

// What choose_parameters() throws, before hours of encoding; nothing for kHead.
void check_network(const encoder::Archive& archive, const TrainOptions& options,
                   const std::string& path, bool has_words);

// What the training pictures that are held out are encoded by: the network as it is now; is_half:
// under autocast to bfloat16.
std::unique_ptr<Encoder> encoder_of(const torch::jit::Module& network, const EncoderInfo& info,
                                    at::Device device, const std::string& path,
                                    bool is_half = false);

// The tuned network, on the CPU, of the epoch that finds best among the held-out pictures, mixed
// with the start's weights if that finds better. Adds to report.epochs, .best_epoch, .mixture and
// .stopped. `info` describes the start, `path` names it; `embeddings` are those of the data set's
// pictures by the start.
// Throws kCancelled (asked to stop before the first epoch's end), kCorrupt (a damaged checkpoint),
// kIo, kOutOfMemory, kBadModel.
torch::jit::Module train_network(const encoder::Archive& start, const EncoderInfo& info,
                                 const std::string& path, const Dataset& dataset,
                                 const TrainingSet& set, const Matrix& embeddings,
                                 const TrainOptions& options, const Recipe& recipe,
                                 const TrainProgress& progress, TrainReport& report);

}  // namespace vsearch::training

// Learning a text tower from texts and the embeddings of their pictures.
#pragma once

#include <torch/script.h>

#include <cstdint>
#include <string>
#include <vector>

#include "vsearch/text_trainer.h"
#include "vsearch/types.h"

namespace vsearch::training {

// Pairs of a text and a picture: pair i has texts[text_of[i]] and row i.
struct TitledPictures {
  std::vector<std::string> texts;  // different ones
  std::vector<std::int32_t> text_of;
  Matrix embeddings;              // of length 1
  std::vector<std::string> keys;  // of the items
};

// The tower of the epoch that finds best among what is held out; fills report.pairs and all from
// there to .stopped, but for .without_text and .without_embedding.
//
// A step takes pairs at random. The loss is the mean of two cross-entropies, of the pictures for
// each text and of the texts for each picture (CLIP, arXiv 2103.00020); pictures of one text are
// all right. Of every other text only some words are shown, for customers write few (see
// text_learner.h, which tells what a text is known by).
// `sentence`: the encoder that it stands behind; null: it has pieces of words of its own.
// Throws kInvalidArgument (too few different texts), kCancelled, kBadModel (of `sentence`).
torch::jit::Module train_tower(const TitledPictures& data, const torch::jit::Module* sentence,
                               const TextTrainOptions& options, const TextTrainProgress& progress,
                               TextTrainReport& report);

}  // namespace vsearch::training

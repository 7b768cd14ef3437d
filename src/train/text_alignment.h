// Words for a network whose pictures have moved: its text tower stays as it is, and a linear map
// behind it goes the way that training took the pictures (after the re-alignment of Schall et al.,
// arXiv 2409.01936, which trains the tower on).
#pragma once

#include <ATen/ATen.h>
#include <torch/script.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "encoder/torch_archive.h"
#include "train/training_set.h"
#include "vsearch/encoder.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

// Words and the pictures they are of.
struct WordsOf {
  at::Tensor words;                  // float32 [words, dim], of length 1
  std::vector<std::int32_t> labels;  // of each picture which word
};

// The matrix [dim, dim] that takes rows of `before` nearest to those of `after`, both float32
// [n, dim] of length 1, in the mean of squares. Where the rows say little it changes nothing: it is
// drawn towards the unit matrix, by as much as does best for a fifth of the rows that it is not
// fitted to: for finding them by words (of the start; of as many labels as there are rows), if
// these find by the start at all, else for the cosines.
at::Tensor fit_map(const at::Tensor& before, const at::Tensor& after, const WordsOf& words = {});

// `network` with `map` behind encode_text(). A tower of train_text(), or a map that is there
// already, takes it in; else the parameters of the network are named "network.NAME".
torch::jit::Module with_text_map(const torch::jit::Module& network, const at::Tensor& map);
// Whether they are named so then.
bool text_map_wraps(const torch::jit::Module& network);

// The map for `tuned`, a network with encode_text() on the CPU whose start is `start`; none if the
// network did not change. Fills report.words. `embeddings` are those of the data set's pictures by
// the start; up to some thousand pictures are encoded anew, as `progress` counts. Throws kCancelled
// and what Encoder::encode() throws.
std::optional<at::Tensor> align_words(const torch::jit::Module& start,
                                      const torch::jit::Module& tuned, const EncoderInfo& info,
                                      const std::string& path, const Dataset& dataset,
                                      const TrainingSet& set, const Matrix& embeddings,
                                      const TrainOptions& options, const Progress& progress,
                                      TrainReport& report);

}  // namespace vsearch::training

// How texts are understood while a text tower is learned from them.
#pragma once

#include <torch/script.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "eval/seeded.h"
#include "vsearch/text_trainer.h"

namespace vsearch::training {

// Of texts that it was made for, which are told by their numbers. Outlives none of them.
class TextLearner {
 public:
  virtual ~TextLearner() = default;

  // What its parameters are of, and what comes out in the end.
  const torch::jit::Module& tower() const { return tower_; }
  // That are learned: all of the tower's own.
  std::vector<at::Tensor> parameters() const;

  // [texts, dim], differentiable, as encode_text() of the tower would have it.
  virtual at::Tensor embed(std::span<const std::int32_t> texts) const = 0;
  // The same of texts as customers write them: of every other only some words.
  virtual at::Tensor embed_some(std::span<const std::int32_t> texts,
                                eval::Seeded& random) const = 0;

 protected:
  explicit TextLearner(torch::jit::Module tower) : tower_(std::move(tower)) {}

 private:
  torch::jit::Module tower_;
};

// Knows a text by its words and what these are made of. Pieces are those that stand in the most of
// the `learned` texts (numbers, ascending); of some words, as they are shown, only what they are
// made of, for customers write them otherwise. Fills report.pieces.
// Throws kInvalidArgument (no word that comes twice).
std::unique_ptr<TextLearner> learn_pieces(const std::vector<std::string>& texts,
                                          const std::vector<std::int32_t>& learned, std::size_t dim,
                                          const TextTrainOptions& options, TextTrainReport& report);

// The sentence encoder in the file `path`, as the exporter makes it: a module with encode_text().
// Throws kFileNotFound, kBadModel.
torch::jit::Module open_sentence_encoder(const std::filesystem::path& path);

// Knows a text by what `sentence` makes of it, which stays as it is: every text is encoded once,
// and once with some of its words, and what is learned stands behind. Throws kBadModel, kCancelled
// (`progress` said so).
std::unique_ptr<TextLearner> learn_sentences(const std::vector<std::string>& texts,
                                             const torch::jit::Module& sentence, std::size_t dim,
                                             const TextTrainOptions& options,
                                             const TextTrainProgress& progress);

// How often texts are shortened, and the least share of their words that is left of them then.
inline constexpr double kShortened = 0.5;
inline constexpr double kFewestWords = 0.2;

}  // namespace vsearch::training

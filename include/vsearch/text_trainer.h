// Search by words for any catalogue whose items have titles: a text encoder is learned from the
// titles and the embeddings that the catalogue holds, and joins the model in a package. Needs a
// library built with torch; without it train_text() throws kUnavailable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "vsearch/catalog.h"

namespace vsearch {

struct TextTrainOptions {
  // What is known of an item in words: fields of its metadata, as a filter names them; texts,
  // numbers and arrays of texts, joined by spaces. Items that have none of these are left out.
  std::vector<std::string> fields{"title"};
  // The package that the catalogue's embeddings come from; empty: find_encoder() of the one that
  // the catalogue names.
  std::filesystem::path model{};
  // A sentence encoder to stand behind, as `vsx model export sentence` makes it, so that words that
  // no title has mean something too; it becomes part of the package. Empty: only pieces of words
  // of the titles are known.
  std::filesystem::path sentence{};
  double held_out = 0.1;  // share of the different texts that is measured with, not learned
  std::uint32_t epochs = 30;
  std::uint32_t batch_size = 512;  // pairs of a text and a picture in a step
  double rate = 2e-3;              // at its highest
  double weight_decay = 0.05;
  // Without a sentence encoder:
  std::uint32_t width = 128;           // of what a piece of a word is known by, 8 to 4,096
  std::uint32_t most_pieces = 20'000;  // that are known at most, 100 to 1,000,000
  // Training ends when this many epochs in a row found no better than the best; 0: never.
  std::uint32_t patience = 8;
  std::uint64_t seed = 1;
};

// One pass over the pairs.
struct TextTrainEpoch {
  std::uint32_t epoch = 0;  // from 1
  double loss = 0;          // mean over the steps
  double seconds = 0;
  // Of held-out texts, looking among the held-out pictures: whether one of their own is among the
  // first 1 and 10, and the mean of 1 / its place. NaN where nothing is held out.
  double recall_at_1 = 0;
  double recall_at_10 = 0;
  double mean_reciprocal_rank = 0;
};

// What a held-out text finds first.
struct TextExample {
  std::string text;
  std::uint32_t place = 0;  // of the first of its own pictures, from 1
  struct Found {
    std::string key;
    std::string text;
  };
  std::vector<Found> found;  // 5 at most
};

struct TextTrainReport {
  std::uint64_t pairs = 0;              // that are learned from
  std::uint64_t texts = 0;              // different ones, of these
  std::uint64_t held_out = 0;           // pairs that are measured with
  std::uint64_t without_text = 0;       // items that were left out, having no text
  std::uint64_t without_embedding = 0;  // pictures, likewise
  std::uint64_t pieces = 0;             // of words, that are known; 0 behind a sentence encoder
  double chance_at_10 = 0;              // what recall_at_10 would be of answers drawn at random
  std::vector<TextTrainEpoch> epochs;
  std::uint32_t best_epoch = 0;       // the one that was written
  std::vector<TextExample> examples;  // at most 10
  std::string stopped;                // why training ended before its last epoch; empty: it did not
  double seconds = 0;
  std::string start_fingerprint;
  std::string fingerprint;  // of the package that was written
  std::filesystem::path package;
};

// Called while titles are read, and while a sentence encoder encodes them, as epoch 0, and after
// each step. Returning false ends training: the best so far is written. May be empty.
struct TextTrainState {
  std::uint32_t epoch = 0;
  std::uint32_t epochs = 0;
  std::uint64_t step = 0;   // of this epoch; of epoch 0 items or texts
  std::uint64_t steps = 0;  // of an epoch; of epoch 0 items or texts
  double loss = 0;          // of the last step
  double seconds_left = 0;
};
using TextTrainProgress = std::function<bool(const TextTrainState&)>;

// Learns to say where in the space of the catalogue's embeddings the pictures of a text lie
// (locked-image tuning, arXiv 2111.07991: the image encoder stays as it is), and writes the package
// `output`: the model with encode_text(). Its embeddings of pictures are the same, and
// Catalog::reencode() takes them over without encoding a picture. A text tower that an earlier call
// has put into the model is replaced.
//
// Without a sentence encoder a text is known by its words and by the 3 to 5 letters in a row that
// they are made of, so that a word never seen still says something, as in fastText (arXiv
// 1607.04606); case and accents do not count. Texts in UTF-8 of any language.
// Throws kInvalidArgument (no field; no item has one; fewer than 20 different texts; numbers that
// make no sense; a model whose text tower is another's, or of the other kind), kEncoderMismatch
// (`model` is not what the catalogue's embeddings come from), kFileNotFound, kBadModel, kIo,
// kCancelled (asked to stop before anything was learned), kOutOfMemory, kUnavailable.
TextTrainReport train_text(const Catalog& catalog, const std::filesystem::path& output,
                           const TextTrainOptions& options = {},
                           const TextTrainProgress& progress = {});

std::string to_json(const TextTrainReport& report);

}  // namespace vsearch

// Text encoders that are learned: one with its words (pieces of words, a weight and a vector for
// each, and a small network behind their mean), and one behind a sentence encoder (the same small
// network behind what that makes of a text).
#pragma once

#include <torch/script.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vsearch::training {

// What a text is read as: numbers that stand for its words and for the letters in a row that they
// are made of, and of which word each is.
struct TextPieces {
  // [n], below 2^42: of each word the whole of it, then what it is made of.
  std::vector<std::int64_t> hashes;
  std::vector<std::int32_t> words;  // [n], ascending from 0
};

struct TextTowerSettings {
  std::int64_t width = 128;
  std::int64_t dim = 0;              // of the embeddings
  std::uint64_t seed = 1;            // of the weights it begins with
  std::vector<std::int64_t> pieces;  // that are known: hashes, ascending, each once
};

// How a text is read, without anything being known. One script for all towers, so that what was
// learned is read as it was.
class TextReader {
 public:
  TextReader();
  // UTF-8; what is none is passed over. At most 64 words, of 40 letters each.
  TextPieces read(const std::string& text) const;

 private:
  torch::jit::Module module_;
};

// A new tower: parameters that require no gradient yet; methods
//   lookup(hashes int64 [n]) -> int64 [n]: 0 for a piece that is not known, else its row
//   embed(rows int64 [n], offsets int64 [texts]) -> float32 [texts, dim]: of texts that are known
//     by rows[offsets[i]..offsets[i + 1]), each by one at least
//   encode_text(texts) -> float32 [texts, dim]
torch::jit::Module make_text_tower(const TextTowerSettings& settings);

// A new tower behind the sentence encoder `sentence`, a module with encode_text(texts) -> [texts,
// width], which stays as it is; methods
//   through(float32 [texts, width]) -> float32 [texts, dim]: what stands behind it
//   encode_text(texts) -> float32 [texts, dim]
torch::jit::Module make_sentence_tower(const torch::jit::Module& sentence, std::int64_t width,
                                       std::int64_t dim, std::uint64_t seed);

// What the text tower of `network` stands behind; none: it has no tower of ours, or one with
// pieces.
std::optional<torch::jit::Module> sentence_encoder_of(const torch::jit::Module& network);

// Throws kInvalidArgument, naming `path`, unless `network` has no text tower, or one of ours of the
// same kind: behind that sentence encoder, or without one (null).
void check_takes_tower(const torch::jit::Module& network, const torch::jit::Module* sentence,
                       const std::string& path);

// A copy of `network` with `tower` as its text tower. Its parameters keep their names, those of the
// tower are named "text.NAME". One that has a tower of ours gets this one in its place. Throws what
// check_takes_tower() throws.
torch::jit::Module with_text_tower(const torch::jit::Module& network,
                                   const torch::jit::Module& tower, const std::string& path);

// Whether the text tower of `network` is one of ours.
bool has_own_text_tower(const torch::jit::Module& network);
// A copy of such a network whose embeddings of words are taken through `map` [dim, dim].
torch::jit::Module with_mapped_tower(const torch::jit::Module& network, const at::Tensor& map);

}  // namespace vsearch::training

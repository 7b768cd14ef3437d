// Embeddings of picture files on disk, added as they are made, so that a run that was interrupted
// goes on where it stopped, and no picture is encoded twice by one encoder.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "vsearch/dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/types.h"

namespace vsearch::eval {

// What the embedding of a picture depends on, beside the encoder: its path in the data set, the
// size and time of its file, its crop. A data set that is moved as a whole keeps its pictures'
// keys.
struct PictureKey {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  auto operator<=>(const PictureKey&) const = default;
};
PictureKey key_of_picture(const Dataset& dataset, const DatasetPicture& picture);
std::vector<PictureKey> keys_of_pictures(const Dataset& dataset);

// What all embeddings of an encoder depend on, as a part of a file's name.
std::string name_in_cache(const std::string& fingerprint, Precision precision, bool exact_decoding);

// One file for each encoder. Records are checksummed: what a crash has torn off is made anew. While
// another process adds to the file, what is there is used and nothing is added.
// Threads: one. Errors: throws kIo, which names the file.
class EmbeddingCache {
 public:
  // `encoder` names what all embeddings depend on; it becomes part of the file's name. Reads what
  // is there into `rows` [pictures x dim] and marks it in `known` [pictures].
  EmbeddingCache(const std::filesystem::path& folder, const std::string& encoder,
                 std::vector<PictureKey> keys, Matrix& rows, std::vector<bool>& known);
  ~EmbeddingCache();
  EmbeddingCache(const EmbeddingCache&) = delete;
  EmbeddingCache& operator=(const EmbeddingCache&) = delete;

  void add(std::uint32_t picture, std::span<const float> embedding);
  // What was added is in the file when this has returned.
  void flush();

 private:
  std::uint64_t read(Matrix& rows, std::vector<bool>& known);  // the length of what is whole
  [[noreturn]] void fail(const char* what) const;

  std::filesystem::path path_;
  std::vector<PictureKey> keys_;  // of the pictures
  std::ofstream file_;
  int lock_ = -1;  // a descriptor; -1: another process has it
};

// Adds embeddings that were come by in another way than by encoding: `rows` [keys x dim]. Rows that
// are not finite, and pictures that are there already, are passed over.
void keep_embeddings(const std::filesystem::path& folder, const std::string& encoder,
                     const std::vector<PictureKey>& keys, const Matrix& rows);

}  // namespace vsearch::eval

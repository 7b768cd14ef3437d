// Embeddings of a data set on disk, added as they are made, so that a run that was interrupted goes
// on where it stopped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "vsearch/types.h"

namespace vsearch::eval {

// One file per encoder and set of pictures. Records are checksummed: what a crash has torn off is
// made anew.
// Threads: one. Errors: throws kIo, which names the file.
class EmbeddingCache {
 public:
  // `key` names what the embeddings depend on; it becomes part of the file's name. Reads what is
  // there into `rows` [pictures x dim] and marks it in `known` [pictures].
  EmbeddingCache(const std::filesystem::path& folder, const std::string& key, Matrix& rows,
                 std::vector<bool>& known);

  void add(std::uint32_t picture, std::span<const float> embedding);
  // What was added is in the file when this has returned.
  void flush();

 private:
  std::uint64_t read(Matrix& rows, std::vector<bool>& known);  // the length of what is whole
  [[noreturn]] void fail(const char* what) const;

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace vsearch::eval

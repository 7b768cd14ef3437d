// Exact search of many queries on a GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vsearch/index.h"
#include "vsearch/types.h"

namespace vsearch {

struct ExactSearcherOptions {
  std::string device = "cuda";  // as torch names it: "cuda", "cuda:1", "cpu"
  // What a batch may take on the device beside the copy of the vectors, about; at least 1 MiB.
  std::uint64_t working_bytes = std::uint64_t{1} << 30;
};

// Answers batches of queries as Index::search_batch() does with SearchOptions::exact: the same ids,
// at the same distances, to the last bit. The device holds a copy of the vectors, 4 bytes a
// dimension, and proposes candidates for a batch by matrix products; the index computes their
// distances, proves that no other vector can be nearer, and answers itself where that fails, as
// among more equal vectors than were proposed.
//
// On a CPU Index::search_batch() is as fast and needs no copy: "cpu" is there for tests.
//
// Needs the library's torch part (vsearch::torch). Threads: search_batch() and refresh() may be
// called from many threads, and take turns; they may run beside every call of the index. Errors:
// throws Error.
class ExactSearcher {
 public:
  // Copies the vectors of `index`, which is borrowed: it must stay where it is until the searcher
  // is gone. Throws kInvalidArgument (a device that is neither "cpu" nor "cuda...", too small
  // working_bytes), kUnavailable (no such GPU, or a library without torch), kOutOfMemory.
  explicit ExactSearcher(const Index& index, const ExactSearcherOptions& options = {});
  ~ExactSearcher();
  ExactSearcher(ExactSearcher&&) noexcept;
  ExactSearcher& operator=(ExactSearcher&&) noexcept;

  // As torch names it, with its number: "cuda:0".
  std::string device() const;

  // Brings the copy up to date with the index. Vectors that were added are copied alone, but all of
  // them anew where the index has encoded them anew or has given slots of removed ones away.
  // search_batch() does this by itself; to do it before saves the first batch the time. Returns
  // whether there was anything to do. Throws kOutOfMemory, kUnavailable (the device failed).
  bool refresh();

  // For each row of `queries` [n x dim] its exact neighbours, nearest first, in the state of the
  // index at some moment of the call. Of `options` k, filter, threads (that compute the distances
  // of candidates) and report count. Throws as Index::search_batch() does, and as refresh() does.
  std::vector<std::vector<Neighbor>> search_batch(MatrixView queries,
                                                  const SearchOptions& options = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vsearch

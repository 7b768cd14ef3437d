// Approximate nearest-neighbour search over embeddings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vsearch/types.h"

namespace vsearch {

// A set of ids that a search may return. A value: copies are deep. It remembers where an index
// holds its ids, until that index changes: to search with one filter several times costs less than
// with as many equal ones.
// Threads: const members may be called from many threads at once.
class IdFilter {
 public:
  IdFilter();
  explicit IdFilter(std::span<const Id> ids);
  ~IdFilter();
  IdFilter(const IdFilter& other);
  IdFilter& operator=(const IdFilter& other);
  IdFilter(IdFilter&& other) noexcept;
  IdFilter& operator=(IdFilter&& other) noexcept;

  void insert(Id id);
  bool contains(Id id) const;
  std::uint64_t size() const;
  std::vector<Id> ids() const;  // ascending

  struct Impl;  // of the library's own

 private:
  friend class Index;
  std::unique_ptr<Impl> impl_;
};

// What an index keeps of a vector.
enum class Storage : std::uint8_t {
  // 16-bit fixed point, with a range for each dimension that grows as vectors need it: about one
  // hundred-thousandth of the range is lost. Walks read the upper bytes, results are computed from
  // all 16 bits. 2 bytes a dimension.
  kInt8 = 0,
  kFloat32 = 1,  // as it is; 4 bytes a dimension
};

struct IndexOptions {
  std::uint32_t dim = 0;  // required: floats per vector, 1 to 65,536
  Metric metric = Metric::kCosine;
  std::uint32_t links = 16;           // HNSW M: links per node and level, 2 to 256
  std::uint32_t build_breadth = 200;  // HNSW efConstruction: candidates looked at per insertion
  Storage storage = Storage::kInt8;
  std::uint32_t threads = 0;  // that add() may use; 0: as many as the machine has
};

// What answering took: noise-free, unlike time. Of a batch: sums.
struct SearchReport {
  std::uint64_t distances = 0;  // vectors that were compared with a query
  std::uint64_t expanded = 0;   // vectors whose neighbours in the graph were looked at
};

struct SearchOptions {         // per call; the index keeps no query state
  std::uint32_t k = 10;        // neighbours wanted, at least 1
  std::uint32_t breadth = 64;  // HNSW ef; raised to k when smaller
  // Instead of `breadth`: the share of the k nearest that is wanted on average, below 1, such as
  // 0.95. See Index::calibrate(). 0: `breadth` says.
  double recall = 0;
  const IdFilter* filter = nullptr;  // only these ids; borrowed for the call
  bool exact = false;                // compare with every vector: the oracle, and best when few
  std::uint32_t threads = 1;         // that search_batch() may use; 0: as many as there are
  SearchReport* report = nullptr;    // if not null, receives what it took
};

struct IndexStats {
  std::uint64_t size = 0;          // vectors that can be found
  std::uint64_t removed = 0;       // slots of removed vectors, waiting to be reused
  std::uint64_t capacity = 0;      // slots allocated
  std::uint64_t memory_bytes = 0;  // vectors, graph and tables
};

// Approximate nearest-neighbour index over float32 vectors: an HNSW graph (Malkov and Yashunin,
// arXiv 1603.09320) that grows as needed.
// Threads: search() and the other const members may run beside every call; writers wait for each
// other. Errors: throws Error; a failed call leaves the index as it was.
class Index {
 public:
  // Throws kInvalidArgument (dim, links or build_breadth out of range).
  explicit Index(const IndexOptions& options);
  ~Index();
  Index(Index&&) noexcept;
  Index& operator=(Index&&) noexcept;

  const IndexOptions& options() const;
  std::uint64_t size() const;
  bool contains(Id id) const;
  std::vector<Id> ids() const;  // ascending
  IndexStats stats() const;

  // Copies `rows` [n x dim] under `ids` [n]. An id that is present is replaced; of an id that
  // stands twice in `ids` the last row counts. `progress` counts rows, and may search but not
  // change or save this index; what was added before a cancellation stays, and what it throws is
  // passed on as one. Throws kInvalidArgument
  // (wrong dim, ids and rows of different length, NaN or Inf, a zero vector under cosine, under the
  // other metrics one longer than 1e17: the message names the row; nothing was added),
  // kCancelled, kOutOfMemory.
  void add(MatrixView rows, std::span<const Id> ids, const Progress& progress = {});

  // Removes the vectors of these ids; returns how many were present.
  std::uint64_t remove(std::span<const Id> ids);

  // At most k neighbours of `query` [dim], nearest first (equal distances: smaller id first);
  // fewer only if fewer match.
  // Throws kInvalidArgument (k = 0, recall not in [0, 1), or a query that add() would refuse),
  // kOutOfMemory.
  std::vector<Neighbor> search(std::span<const float> query,
                               const SearchOptions& options = {}) const;

  // The same for each row of `queries` [n x dim], in their order: with less work than one after
  // the other, since what one waits for is fetched while others are computed.
  // Throws as search() does (the message names the row).
  std::vector<std::vector<Neighbor>> search_batch(MatrixView queries,
                                                  const SearchOptions& options = {}) const;

  // Finds out how far searches must go for SearchOptions::recall, by comparing the answers to the
  // first 256 of `queries` [n x dim], such as shoppers have asked, with exact ones, which takes as
  // long as so many exact searches. Without any: by queries made beside stored vectors, which real
  // ones resemble more or less; the recall may then be missed by some points. So does the first
  // search with a recall, and again one after as many vectors have changed as there were; it takes
  // as long as two thousand others. Not kept in snapshots. Throws as search_batch() does.
  void calibrate(MatrixView queries = {}) const;

  // The stored vector of `id` [dim] (unit length under cosine). Throws kKeyNotFound.
  std::vector<float> vector(Id id) const;

  // Writes a snapshot: to a temporary file beside `path`, fsync, rename, fsync of the folder, so
  // that a crash leaves the old file or the new one. `stamp`, at most 65,536 bytes, is kept with it
  // for the caller. Searches go on meanwhile; writers wait. Throws kIo, kInvalidArgument (a longer
  // stamp), kOutOfMemory.
  void save(const std::filesystem::path& path, const std::string& stamp = {}) const;

  // Opens a snapshot. Everything in it is checked (length, checksum, bounds) before it is used.
  // `stamp`, if not null, receives what save() was given.
  // Throws kFileNotFound, kIo, kCorrupt (with the reason), kOutOfMemory.
  static Index load(const std::filesystem::path& path, std::string* stamp = nullptr);

 private:
  struct Impl;
  explicit Index(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vsearch

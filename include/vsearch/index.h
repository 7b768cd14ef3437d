// Approximate nearest-neighbour search over embeddings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vsearch/index_health.h"
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
  void erase(Id id);                            // nothing happens if it is not in it
  IdFilter& operator&=(const IdFilter& other);  // keeps what is in both
  IdFilter& operator|=(const IdFilter& other);  // adds what is in `other`
  IdFilter& operator-=(const IdFilter& other);  // takes out what is in `other`

  bool contains(Id id) const;
  std::uint64_t size() const;
  std::vector<Id> ids() const;  // ascending

  struct Impl;  // of the library's own

 private:
  friend class Index;
  friend class ExactSearcher;
  std::unique_ptr<Impl> impl_;
};

// What an index keeps of a vector. Queries are compared in float32 with what is kept.
enum class Storage : std::uint8_t {
  // 16-bit fixed point, with a range for each dimension that follows the vectors: the error is less
  // than one part in thirty thousand of the range. Walks read the upper bytes, results are computed
  // from all 16 bits. 2 bytes a dimension.
  kInt8 = 0,
  kFloat32 = 1,   // as it is; 4 bytes a dimension
  kFloat16 = 2,   // 2 bytes a dimension, 11 bits of each value; values below 65,504 only
  kBFloat16 = 3,  // 2 bytes a dimension, 8 bits of each value
  // As kInt8, and two bits a dimension, of which alone walks read: for machines in whose memory
  // these have room, but not everything. 2.25 bytes a dimension, of which 0.25 (in steps of 16
  // bytes) are in use all the time. Searches are as fast as with kInt8, and from some 100
  // dimensions
  // on nearly as much is found with the same breadth; with fewer dimensions it takes more.
  kCompact = 4,
};
// "int8", "float32", "float16", "bfloat16", "compact"; "unknown" of a value that is none of these.
std::string_view storage_name(Storage storage);
std::optional<Storage> find_storage(std::string_view name);

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
  // That search_batch() may use, and search() if it is exact; 0: as many as there are.
  std::uint32_t threads = 1;
  SearchReport* report = nullptr;  // if not null, receives what it took
};

struct IndexStats {
  std::uint64_t size = 0;          // vectors that can be found
  std::uint64_t removed = 0;       // slots of removed vectors, waiting to be reused
  std::uint64_t capacity = 0;      // slots allocated
  std::uint64_t memory_bytes = 0;  // all of the following
  std::uint64_t vector_bytes = 0;
  std::uint64_t link_bytes = 0;   // the graph
  std::uint64_t table_bytes = 0;  // ids, and where their vectors are
  std::uint64_t free_bytes = 0;   // slots of removed vectors, and such as were made usable again
  // Of vectors and links, what every walk reads: what should have room in memory. Of the rest a
  // search reads some dozens of vectors, which may stay in the file of a snapshot.
  std::uint64_t walked_bytes = 0;
};

// Approximate nearest-neighbour index over float32 vectors: an HNSW graph (Malkov and Yashunin,
// arXiv 1603.09320) that grows as needed.
// Threads: search() and the other const members may run beside every call; writers wait for each
// other. Errors: throws Error; a failed call leaves the index as it was. Of one from a damaged
// snapshot every call may throw kCorrupt: see load().
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
  IndexStats stats() const;     // at once: for dashboards

  // Looks through the whole index: see HealthOptions. Searches and changes go on meanwhile, none of
  // them waits for more than some milliseconds; the result is then of no single moment, and
  // approximate. `progress` counts vectors that were looked at, over all the looks at them, and may
  // use and change this index. Throws kInvalidArgument (k = 0), kCancelled, kOutOfMemory.
  IndexHealth check_health(const HealthOptions& options = {}, const Progress& progress = {}) const;

  // Copies `rows` [n x dim] under `ids` [n]. An id that is present is replaced; of an id that
  // stands twice in `ids` the last row counts. `progress` counts rows, and may search but not
  // change or save this index; what was added before a cancellation stays, and what it throws is
  // passed on as one. Throws kInvalidArgument
  // (wrong dim, ids and rows of different length, NaN or Inf, a zero vector under cosine, under the
  // other metrics one longer than 1e17, or a value that the storage cannot express: the message
  // names the row; nothing was added), kCancelled, kOutOfMemory.
  void add(MatrixView rows, std::span<const Id> ids, const Progress& progress = {});

  // Adds the vectors of `other` under their ids, as add() does; what this index has under the same
  // ids is replaced. Where it is empty and both have the same options, the graph is copied instead
  // of built: that takes the time of copying memory. `other` stays as it is; whoever changes it
  // waits. `progress` counts vectors, and may search but not change or save either index; what was
  // added before a cancellation stays. Throws kInvalidArgument (this index itself, another dim or
  // metric), kCancelled, kOutOfMemory (nothing was added).
  void merge(const Index& other, const Progress& progress = {});

  // Removes the vectors of these ids; returns how many were present.
  std::uint64_t remove(std::span<const Id> ids);

  // At most k neighbours of `query` [dim], nearest first (equal distances: smaller id first);
  // fewer only if fewer match.
  // Throws kInvalidArgument (k = 0, recall not in [0, 1), or a query that add() would refuse),
  // kOutOfMemory.
  std::vector<Neighbor> search(std::span<const float> query,
                               const SearchOptions& options = {}) const;

  // The same for each row of `queries` [n x dim], in their order: with less work than one after
  // the other, since what one waits for is fetched while others are computed. Exact searches, whose
  // answers are the same to the last bit, become matrix products: the more of them, up to about a
  // thousand, the quicker is each. Beside changes each answer is that of one moment of the call;
  // changes do not wait for more than some milliseconds of it.
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

  // Writes a snapshot of the index as it is at one moment of the call: to a temporary file beside
  // `path`, fsync, rename, fsync of the folder, so that a crash leaves the old file or the new one.
  // `stamp`, at most 65,536 bytes, is kept with it for the caller. Searches go on meanwhile; add()
  // and remove() wait only while everything but the vectors is copied, which takes some tens of
  // milliseconds and 200 MB a million vectors, and where that memory is missing, until all is
  // written; so do merge() and an add() of vectors beyond the ranges of fixed point. Slots of
  // removed vectors are not used again before the end. Two calls take turns. `settled`, if not
  // empty, is called once, on this thread, when it is settled what the snapshot holds: changes that
  // begin after it are not in it. It must not change or save this index itself, nor wait for who
  // does. Throws kIo (naming the path), kInvalidArgument (a longer stamp), kOutOfMemory, kCorrupt,
  // and what `settled` throws.
  void save(const std::filesystem::path& path, const std::string& stamp = {},
            const std::function<void()>& settled = {}) const;

  // Opens a snapshot. Everything in it is checked: length, checksums, and that all that searches
  // follow leads somewhere. `stamp`, if not null, receives what save() was given.
  //
  // A file of 64 MiB or more is mapped: its pages are read when they are first needed, they are
  // shared with other processes and given back under pressure; changes stay in memory. Links and
  // ids are checked before load() returns, the vectors beside the first searches, by a thread of
  // the index's own, for which add(), remove(), save() and calibrations wait. If it finds damage,
  // each later call but options() throws kCorrupt.
  //
  // The file may be replaced (renamed over, as save() does it) or deleted while the index lives.
  // It must not be written to in place: that changes the index behind its checks; and where a
  // mapped file is cut short, or the disk fails to read it, the system ends the process (SIGBUS).
  //
  // Throws kFileNotFound, kIo, kCorrupt (with the reason), kOutOfMemory.
  static Index load(const std::filesystem::path& path, std::string* stamp = nullptr);

 private:
  friend class ExactSearcher;
  struct Impl;
  explicit Index(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vsearch

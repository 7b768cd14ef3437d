// The vectors of an index, as its options say, and distances to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "index/arena.h"
#include "index/fixed_point.h"
#include "index/kernels.h"
#include "vsearch/index.h"

namespace vsearch::index {

// Vectors in slots. Distances come in two kinds: `near`, of what a walk reads, and `exact`, of
// everything that is stored; for Storage::kFloat32 they are the same.
//
// Threads: const members may run at the same time, and beside write() to a slot that nobody reads.
// Every other member must run alone.
class VectorStore {
 public:
  // A vector made ready to be compared with those of one store, until its encoding changes.
  class Query {
   private:
    friend class VectorStore;
    std::vector<float> vector_;         // [dim]
    std::vector<float> exact_weights_;  // [dim]
    std::vector<std::int8_t> weights_;  // [width]
    std::vector<std::int32_t> products_;
    float exact_offset_ = 0;
    float offset_ = 0;
    float factor_ = 0;
  };

  // New places for all vectors, in a new encoding.
  struct Encoding {
    FixedPoint numbers;
    Arena high;
    Arena low;
    Arena norms;
  };

  VectorStore(std::size_t dim, Metric metric, Storage storage);

  std::size_t dim() const { return dim_; }
  std::size_t bytes_per_slot() const;
  std::size_t capacity() const { return capacity_; }
  const FixedPoint& numbers() const { return numbers_; }

  void reserve(std::size_t slots);  // throws std::bad_alloc; what is there stays

  // Whether write() can take all of `rows`.
  bool covers(std::span<const std::span<const float>> rows) const;
  // An encoding in which it can, with the vectors of slots below `slots` in it. Throws
  // std::bad_alloc.
  Encoding encoding_for(std::span<const std::span<const float>> rows, std::size_t slots) const;
  // `encoding` gets what was there before: to be committed again, it must be in this state.
  void commit(Encoding& encoding) noexcept;

  void write(Slot slot, std::span<const float> vector) noexcept;
  void read(Slot slot, std::span<float> vector) const;

  // For a snapshot: what it holds of `slots` slots, in which nothing changes for a slot that is in
  // use as long as the encoding stays; and the numbers that belong to the encoding, as many as the
  // options say, zeros if there are none yet. restore_encoding() is for a store without vectors; it
  // says why these cannot be such numbers, or nothing.
  std::vector<Section> sections(std::size_t slots);
  std::vector<float> encoding() const;
  std::string restore_encoding(std::span<const float> encoding);

  // As formats 1 and 2 of the snapshot hold a vector: bytes_in_old_snapshot() bytes.
  std::size_t bytes_in_old_snapshot() const;
  void restore(Slot slot, std::span<const std::byte> bytes) noexcept;

  // `query` keeps its memory from one call to the next. Throws std::bad_alloc.
  void prepare(std::span<const float> vector, Query& query) const;
  void prepare(Slot slot, Query& query) const;

  void prefetch(Slot slot) const {
    const char* const from = reinterpret_cast<const char*>(near_at(slot));
    for (std::size_t i = 0; i < near_bytes_; i += 64) __builtin_prefetch(from + i, 0, 2);
  }
  void near(Query& query, std::span<const Slot> slots, float* distances) const;
  float exact(const Query& query, Slot slot) const;

 private:
  const std::byte* near_at(Slot slot) const {
    return storage_ == Storage::kFloat32 ? floats_.at(slot) : high_.at(slot);
  }
  void write_norm(Slot slot, const FixedPoint& numbers, const Arena& high,
                  const Arena& norms) const noexcept;
  void write_numbers(Slot slot, std::span<const float> vector, const FixedPoint& numbers,
                     Arena& high, Arena& low, Arena& norms) const noexcept;
  void finish_query(Query& query) const;

  const Kernels& kernels_;
  std::size_t dim_;
  std::size_t width_;  // dim_, padded
  std::size_t near_bytes_;
  Metric metric_;
  Storage storage_;
  std::size_t capacity_ = 0;
  Arena floats_;  // [dim], of kFloat32
  FixedPoint numbers_;
  Arena high_;   // [width], of kInt8
  Arena low_;    // [dim]
  Arena norms_;  // one float: the squared length of what walks compare, under L2
};

}  // namespace vsearch::index

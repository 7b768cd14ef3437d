// The vectors of an index, as its options say, and distances to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "index/arena.h"
#include "index/compact_codes.h"
#include "index/fixed_point.h"
#include "index/kernels.h"
#include "vsearch/index.h"

namespace vsearch::index {

// Vectors in slots. Distances come in two kinds: `near`, of what a walk reads, and `exact`, of
// everything that is stored. Where the storage has no codes they are the same.
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
    std::vector<float> high_weights_;   // [dim]; under L2 the vector less `low`
    std::vector<float> low_weights_;    // [dim]
    std::vector<std::int8_t> weights_;  // [width]
    std::vector<std::int32_t> products_;
    CompactCodes::Query compact_;
    bool by_codes_ = false;
    float exact_offset_ = 0;
    float offset_ = 0;
    float factor_ = 0;
  };

  // How vectors in fixed point are encoded, and all of them. Under kCompact the upper and the lower
  // bytes of a vector lie together, so that to read both is to touch one page; else walks read the
  // upper ones, which lie apart.
  struct Encoding {
    FixedPoint numbers;
    std::vector<float> centre;  // [dim], of kCompact: of the codes
    Arena high;                 // [width], of kCompact [width + dim]
    Arena low;                  // [dim], of kInt8
    Arena norms;                // one float: the squared length of the upper bytes, under L2
    Arena codes;                // of kCompact
  };

  VectorStore(std::size_t dim, Metric metric, Storage storage);

  std::size_t dim() const { return dim_; }
  std::size_t bytes_per_slot() const;
  std::size_t walked_bytes_per_slot() const;  // what near() reads of them
  // Of the numbers that belong to the encoding.
  std::size_t encoding_bytes() const {
    return encoding_.numbers.memory_bytes() + encoding_.centre.size() * sizeof(float);
  }
  std::size_t capacity() const { return capacity_; }
  // None before the first encoding.
  const FixedPoint& numbers() const { return encoding_.numbers; }

  void reserve(std::size_t slots);  // throws std::bad_alloc; what is there stays

  // Whether write() can take all of `rows`.
  bool covers(std::span<const std::span<const float>> rows) const;
  // An encoding in which it can, with the vectors of slots below `slots` in it. Throws
  // std::bad_alloc.
  Encoding encoding_for(std::span<const std::span<const float>> rows, std::size_t slots) const;
  // An encoding, with the vectors of slots below `slots` in it, that suits those in `live` better
  // than the present one; nothing if it would gain little. It may change other vectors, those of
  // removed slots. Throws std::bad_alloc.
  std::optional<Encoding> better_encoding(std::span<const Slot> live, std::size_t slots) const;
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

  // Why what else is kept of the vector in `slot`, which a snapshot held, cannot be; or nothing.
  std::string defect_of_derived(Slot slot) const;

  // As formats 1 and 2 of the snapshot hold a vector: bytes_in_old_snapshot() bytes.
  std::size_t bytes_in_old_snapshot() const;
  void restore(Slot slot, std::span<const std::byte> bytes) noexcept;

  // `query` keeps its memory from one call to the next. What is made ready of a slot is for
  // building: under kCompact it is compared with the upper bytes, not with the codes of two bits,
  // since a graph is built once and walked often. Throws std::bad_alloc.
  void prepare(std::span<const float> vector, Query& query) const;
  void prepare(Slot slot, Query& query) const;

  // Asks for what near() will read. Inlined always: GCC 12 takes a function that only prefetches
  // for one without effect, and leaves calls of it out.
  [[gnu::always_inline]] void prefetch(const Query& query, Slot slot) const {
    const bool upper_bytes = is_fixed() && !query.by_codes_;
    prefetch(near_arena(query).at(slot), upper_bytes ? width_ : near_arena(query).record_bytes());
  }
  // And for what exact() reads, beside that.
  [[gnu::always_inline]] void prefetch_exact(Slot slot) const {
    if (!is_fixed()) return;
    const Arena& rest = is_compact() ? encoding_.high : encoding_.low;
    prefetch(rest.at(slot), rest.record_bytes());
  }
  void near(Query& query, std::span<const Slot> slots, float* distances) const;
  float exact(const Query& query, Slot slot) const;
  // How many of the nearest by near() are to be compared by exact() to find the k nearest, when a
  // walk has expanded so many candidates.
  std::size_t to_compare(std::size_t k, std::size_t expanded) const;

 private:
  bool is_fixed() const { return storage_ == Storage::kInt8 || is_compact(); }
  bool is_compact() const { return storage_ == Storage::kCompact; }
  [[gnu::always_inline]] static void prefetch(const std::byte* record, std::size_t bytes) {
    const auto* const from = reinterpret_cast<const char*>(record);
    const std::size_t before = reinterpret_cast<std::uintptr_t>(from) % 64;
    for (std::size_t i = 0; i < before + bytes; i += 64)
      __builtin_prefetch(from - before + i, 0, 2);
  }
  const Arena& near_arena(const Query& query) const {
    if (!is_fixed()) return plain_;
    return query.by_codes_ ? encoding_.codes : encoding_.high;
  }
  std::uint8_t* low_bytes(const Encoding& encoding, Slot slot) const;
  Encoding empty_encoding() const;
  void reserve(Encoding& encoding, std::size_t slots) const;
  ByteExtremes no_extremes() const {
    return {std::vector<std::uint8_t>(dim_, 255), std::vector<std::uint8_t>(dim_, 0)};
  }
  void widen(ByteExtremes& extremes, Slot slot) const;
  void encode_all(std::size_t slots, Encoding& encoding) const;
  void write_fixed(Slot slot, std::span<const float> vector, Encoding& encoding,
                   std::span<float> scratch) const noexcept;
  void write_derived(Slot slot, Encoding& encoding, std::span<float> scratch) const noexcept;
  void finish_query(Query& query) const;

  const Kernels& kernels_;
  const std::size_t dim_;
  const std::size_t width_;  // dim_, padded
  const Metric metric_;
  const Storage storage_;
  const CompactCodes compact_;
  std::size_t capacity_ = 0;
  Arena plain_;                 // [dim], of storages that are not fixed point
  Encoding encoding_;           // of those that are
  std::vector<float> scratch_;  // [3 dim], of write() and restore()
};

}  // namespace vsearch::index

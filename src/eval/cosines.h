// Cosines of many queries with every row of a gallery, some queries at a time.
#pragma once

#include <cstddef>
#include <new>
#include <span>
#include <string_view>
#include <vector>

#include "index/products.h"
#include "vsearch/types.h"

namespace vsearch::eval {

// In double, where no float is too large or too small to be squared.
double squared_length(std::span<const float> row);

// Rows that are read as vectors of length 1.
class UnitRows {
 public:
  // `rows` is borrowed. Throws kInvalidArgument if one is zero or not finite; `what` they are, for
  // the message.
  UnitRows(MatrixView rows, std::string_view what);

  std::size_t rows() const { return rows_.rows; }
  std::size_t dim() const { return rows_.cols; }
  // unit[i * stride] = component i of that row.
  void read(std::size_t row, std::size_t stride, float* unit) const;

 private:
  MatrixView rows_;
  std::vector<double> scales_;  // 1 / length
};

// Floats that begin where a cache line does: registers of AVX-512 are as long as one, and those
// that straddle two make the products a third slower.
template <typename T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  CacheLineAllocator() = default;
  template <typename Other>
  CacheLineAllocator(const CacheLineAllocator<Other>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* data, std::size_t) { ::operator delete(data, kLine); }
  friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
};
using AlignedFloats = std::vector<float, CacheLineAllocator<float>>;

// The products are float32, and each is summed in the order of the components: a cosine does not
// depend on what else is computed beside it. Threads: any, each with a Scratch of its own.
class Cosines {
 public:
  struct Tiling {
    const index::Products* products = &index::products().front();
    // Rows of the gallery that stay in a core's second-level cache beside a block of queries.
    std::size_t tile_bytes = std::size_t{192} * 1024;
    std::size_t depth = 512;  // dimensions that are multiplied in one go
  };
  // What a thread works in.
  struct Scratch {
    AlignedFloats packed;  // [blocks x dim x lanes]
    AlignedFloats tile;    // [tile rows x dim]
    AlignedFloats sums;    // [tile rows x lanes]
  };

  Cosines(const UnitRows& queries, const UnitRows& gallery, const Tiling& tiling);

  // So many queries together leave no part of the processor idle, as does any multiple of it.
  std::size_t lanes() const { return products_.lanes; }

  // cosines[i * gallery rows + g] = the cosine of query `first` + i and row g of the gallery.
  void compute(std::size_t first, std::size_t count, Scratch& scratch,
               std::span<float> cosines) const;

 private:
  void pack(std::size_t first, std::size_t count, Scratch& scratch) const;
  void multiply(const float* packed, std::size_t rows, Scratch& scratch) const;

  const UnitRows& queries_;
  const UnitRows& gallery_;
  const index::Products& products_;
  const std::size_t depth_;
  std::size_t tile_rows_;
};

}  // namespace vsearch::eval

// Small value types that every module shares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace vsearch {

// Names a vector in an Index. Any 64-bit value is allowed; the index gives it no meaning.
using Id = std::uint64_t;

// How two embeddings are compared. The numbers are stored on disk and never change.
enum class Metric : std::uint32_t {
  kCosine = 0,        // distance = 1 - cosine, in [0, 2]; vectors are normalised by the index
  kInnerProduct = 1,  // distance = 1 - <q, x>, unbounded
  kL2 = 2,            // distance = squared Euclidean distance, in [0, inf)
};

// One answer of an Index.
struct Neighbor {
  Id id = 0;
  float distance = 0.0F;  // smaller is nearer; see Metric

  friend bool operator==(const Neighbor&, const Neighbor&) = default;
};

// Borrowed float32 matrix, row-major and dense: element (r, c) is data[r * cols + c].
struct MatrixView {
  const float* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;

  std::span<const float> row(std::size_t r) const { return {data + r * cols, cols}; }
};

// Owned float32 matrix, row-major and dense.
struct Matrix {
  std::vector<float> data;  // [rows * cols]
  std::size_t rows = 0;
  std::size_t cols = 0;

  Matrix() = default;
  Matrix(std::size_t rows_, std::size_t cols_) : data(rows_ * cols_), rows(rows_), cols(cols_) {}

  MatrixView view() const { return {data.data(), rows, cols}; }
  std::span<const float> row(std::size_t r) const { return {data.data() + r * cols, cols}; }
  std::span<float> row(std::size_t r) { return {data.data() + r * cols, cols}; }
};

// Called from time to time by long work, on the thread that called the library, with how many of
// `total` units are done. Returning false asks to stop: the work ends with ErrorCode::kCancelled as
// soon as it safely can, and what was acknowledged before stays. May be empty.
using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

enum class LogLevel : int { kInfo = 0, kWarning = 1, kError = 2 };

// Receives what the library would otherwise print. May be called from any thread that uses the
// object it was given to; must not throw. May be empty.
using LogCallback = std::function<void(LogLevel, std::string_view)>;

}  // namespace vsearch

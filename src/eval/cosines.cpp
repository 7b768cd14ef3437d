#include "eval/cosines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "vsearch/error.h"

namespace vsearch::eval {

double squared_length(std::span<const float> row) {
  constexpr std::size_t kSums = 8;  // which need not wait for each other
  double sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= row.size(); i += kSums) {
    for (std::size_t s = 0; s < kSums; ++s) {
      sums[s] += static_cast<double>(row[i + s]) * static_cast<double>(row[i + s]);
    }
  }
  double sum = 0;
  for (; i < row.size(); ++i) sum += static_cast<double>(row[i]) * static_cast<double>(row[i]);
  for (const double partial : sums) sum += partial;
  return sum;
}

UnitRows::UnitRows(MatrixView rows, std::string_view what) : rows_(rows), scales_(rows.rows) {
  for (std::size_t row = 0; row < rows.rows; ++row) {
    const double squared = squared_length(rows.row(row));
    if (!std::isfinite(squared) || squared == 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("row {} of the {} is {}, so that it has no cosine with anything: "
                              "leave out pictures that have no embedding",
                              row, what, squared == 0 ? "zero" : "not finite"));
    }
    scales_[row] = 1.0 / std::sqrt(squared);
  }
}

void UnitRows::read(std::size_t row, std::size_t stride, float* unit) const {
  const std::span<const float> from = rows_.row(row);
  const double scale = scales_[row];
  // Float32 is much faster, and has the scale unless the row is extremely long or short.
  if (scale > 1e-30 && scale < 1e30) {
    const auto factor = static_cast<float>(scale);
    if (stride == 1) {
      for (std::size_t i = 0; i < from.size(); ++i) unit[i] = from[i] * factor;
    } else {
      for (std::size_t i = 0; i < from.size(); ++i) unit[i * stride] = from[i] * factor;
    }
    return;
  }
  for (std::size_t i = 0; i < from.size(); ++i) {
    unit[i * stride] = static_cast<float>(static_cast<double>(from[i]) * scale);
  }
}

Cosines::Cosines(const UnitRows& queries, const UnitRows& gallery, const Tiling& tiling)
    : queries_(queries),
      gallery_(gallery),
      products_(*tiling.products),
      depth_(tiling.depth),
      tile_rows_(tiling.tile_bytes / (gallery.dim() * sizeof(float)) / products_.rows *
                 products_.rows) {
  tile_rows_ = std::max(tile_rows_, products_.rows);
}

void Cosines::pack(std::size_t first, std::size_t count, Scratch& scratch) const {
  const std::size_t lanes = products_.lanes;
  const std::size_t dim = queries_.dim();
  // Zeros in lanes without a query.
  scratch.packed.assign((count + lanes - 1) / lanes * lanes * dim, 0.0F);
  for (std::size_t i = 0; i < count; ++i) {
    queries_.read(first + i, lanes, scratch.packed.data() + i / lanes * lanes * dim + i % lanes);
  }
}

void Cosines::multiply(const float* packed, std::size_t rows, Scratch& scratch) const {
  const std::size_t lanes = products_.lanes;
  const std::size_t dim = queries_.dim();
  for (std::size_t from = 0; from < dim; from += depth_) {
    // Beyond the end of the tile are rows of an earlier one, or zeros: nobody looks at these sums.
    for (std::size_t row = 0; row < rows; row += products_.rows) {
      products_.multiply(scratch.tile.data() + row * dim + from, dim, packed + from * lanes,
                         std::min(depth_, dim - from), from > 0, scratch.sums.data() + row * lanes);
    }
  }
}

void Cosines::compute(std::size_t first, std::size_t count, Scratch& scratch,
                      std::span<float> cosines) const {
  const std::size_t lanes = products_.lanes;
  const std::size_t dim = queries_.dim();
  const std::size_t gallery = gallery_.rows();
  pack(first, count, scratch);
  scratch.tile.resize(tile_rows_ * dim);
  scratch.sums.resize(tile_rows_ * lanes);
  for (std::size_t begin = 0; begin < gallery; begin += tile_rows_) {
    const std::size_t rows = std::min(tile_rows_, gallery - begin);
    for (std::size_t row = 0; row < rows; ++row) {
      gallery_.read(begin + row, 1, scratch.tile.data() + row * dim);
    }
    for (std::size_t block = 0; block < count; block += lanes) {
      multiply(scratch.packed.data() + block * dim, rows, scratch);
      for (std::size_t lane = 0; lane < std::min(lanes, count - block); ++lane) {
        float* const to = cosines.data() + (block + lane) * gallery + begin;
        const float* const from = scratch.sums.data() + lane;
        for (std::size_t row = 0; row < rows; ++row) to[row] = from[row * lanes];
      }
    }
  }
}

}  // namespace vsearch::eval

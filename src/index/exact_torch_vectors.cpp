#include "index/exact_torch_vectors.h"

#include <ATen/Context.h>

#include <algorithm>

namespace vsearch::index {
namespace {

std::int64_t number(std::size_t value) {
  return static_cast<std::int64_t>(value);
}

}  // namespace

TorchVectors::TorchVectors(at::Device device, std::size_t dim, Metric metric,
                           std::uint64_t working_bytes)
    : device_(device), dim_(number(dim)), metric_(metric), working_bytes_(working_bytes) {}

void TorchVectors::clear(std::vector<float> centre) {
  rows_ = at::empty({0, dim_}, at::TensorOptions(device_));
  halves_ = at::empty({0}, at::TensorOptions(device_));
  slots_.clear();
  longest_ = 0;
  centre_ = std::move(centre);
}

void TorchVectors::reserve(std::size_t count) {
  const std::int64_t used = number(slots_.size());
  const std::int64_t needed = used + number(count);
  if (needed <= rows_.size(0)) return;
  // Some more, so that to add a few vectors at a time does not copy all of them each time.
  const std::int64_t capacity = used == 0 ? needed : needed + needed / 8;
  at::Tensor rows = at::empty({capacity, dim_}, rows_.options());
  at::Tensor halves = at::empty({metric_ == Metric::kL2 ? capacity : 0}, halves_.options());
  rows.narrow(0, 0, used).copy_(rows_.narrow(0, 0, used));
  if (metric_ == Metric::kL2) halves.narrow(0, 0, used).copy_(halves_.narrow(0, 0, used));
  rows_ = std::move(rows);
  halves_ = std::move(halves);
}

void TorchVectors::append(std::span<const Slot> slots, std::span<float> rows) {
  if (slots.empty()) return;
  const auto dim = static_cast<std::size_t>(dim_);
  for (std::size_t i = 0; i < slots.size(); ++i) shift(rows.subspan(i * dim, dim));
  const std::int64_t begin = number(slots_.size());
  const std::int64_t count = number(slots.size());
  slots_.insert(slots_.end(), slots.begin(), slots.end());
  at::Tensor place = rows_.narrow(0, begin, count);
  place.copy_(at::from_blob(rows.data(), {count, dim_}));
  if (metric_ == Metric::kCosine) return;
  const at::Tensor squares = place.square().sum(1);
  // Rounding must not make it shorter.
  longest_ = std::max(longest_, squares.max().sqrt().item<double>() * (1.0 + 1e-3));
  if (metric_ == Metric::kL2) halves_.narrow(0, begin, count).copy_(squares / 2);
}

void TorchVectors::shift(std::span<float> vector) const {
  for (std::size_t i = 0; i < centre_.size(); ++i) vector[i] -= centre_[i];
}

TorchVectors::Best TorchVectors::best(MatrixView queries, std::size_t count,
                                      const std::vector<std::int64_t>* positions) const {
  const at::NoTF32Guard full_precision;
  const std::int64_t rows = number(queries.rows);
  const at::Tensor packed =
      at::from_blob(const_cast<float*>(queries.data), {rows, dim_}).to(device_);
  const at::Tensor among =
      positions == nullptr
          ? at::Tensor()
          : at::from_blob(const_cast<std::int64_t*>(positions->data()), {number(positions->size())},
                          at::TensorOptions(at::kLong))
                .to(device_);
  const std::int64_t all = positions == nullptr ? number(size()) : among.size(0);
  // Scores, what topk() keeps beside them, and vectors that are gathered.
  const std::uint64_t row_bytes =
      4 * (3 * queries.rows + (positions == nullptr ? 0 : static_cast<std::uint64_t>(dim_)));
  const std::int64_t tile =
      std::max<std::int64_t>(1024, static_cast<std::int64_t>(working_bytes_ / row_bytes));
  Best best;
  for (std::int64_t begin = 0; begin < all; begin += tile) {
    const std::int64_t length = std::min(tile, all - begin);
    const at::Tensor chosen = among.defined() ? among.narrow(0, begin, length) : among;
    const auto part = [&](const at::Tensor& tensor) {
      return chosen.defined() ? tensor.index_select(0, chosen) : tensor.narrow(0, begin, length);
    };
    at::Tensor scores = at::mm(packed, part(rows_).t());
    if (metric_ == Metric::kL2) scores.sub_(part(halves_));
    auto [top, at] = scores.topk(std::min(number(count), length), 1, true, false);
    at = chosen.defined() ? chosen.index_select(0, at.flatten()).view(at.sizes()) : at + begin;
    if (best.scores.defined()) {
      top = at::cat({best.scores, top}, 1);
      at = at::cat({best.positions, at}, 1);
      auto [merged, which] = top.topk(std::min(number(count), top.size(1)), 1, true, false);
      top = merged;
      at = at.gather(1, which);
    }
    best = {top, at};
  }
  best.scores = best.scores.to(at::kCPU).contiguous();
  best.positions = best.positions.to(at::kCPU).contiguous();
  return best;
}

}  // namespace vsearch::index

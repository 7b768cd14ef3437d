#include "train/agreement.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "train/tensors.h"

namespace vsearch::training {
namespace {

constexpr std::int64_t kAgreementNeighbours = 10;

at::Tensor of_length_1(const at::Tensor& rows) {
  return rows / rows.norm(2, 1, true).clamp_min(1e-12);
}

// bool [n, n]: whether column j is one of the `count` nearest of row i, which is none of its own.
at::Tensor neighbours(const at::Tensor& unit, std::int64_t count) {
  at::Tensor cosines = at::mm(unit, unit.t());
  cosines.fill_diagonal_(-std::numeric_limits<double>::infinity());
  const at::Tensor nearest = std::get<1>(cosines.topk(count, 1));
  return at::zeros(cosines.sizes(), at::kBool).scatter_(1, nearest, true);
}

}  // namespace

Agreement agreement_of(MatrixView teacher, MatrixView student) {
  const at::NoGradGuard no_gradients;
  at::Tensor one = borrowed(teacher);
  at::Tensor other = borrowed(student);
  const at::Tensor is_there = at::logical_and(one.isfinite().all(1), other.isfinite().all(1));
  one = of_length_1(one.index({is_there}));
  other = of_length_1(other.index({is_there}));
  const std::int64_t pictures = one.size(0);
  if (pictures < 2) return {std::nan(""), std::nan("")};
  Agreement found;
  found.cosine =
      one.size(1) == other.size(1) ? (one * other).sum(1).mean().item<double>() : std::nan("");
  const std::int64_t count = std::min(kAgreementNeighbours, (pictures - 1) / 2);
  if (count == 0) {
    found.overlap_at_10 = std::nan("");
    return found;
  }
  const at::Tensor shared = at::logical_and(neighbours(one, count), neighbours(other, count));
  found.overlap_at_10 = shared.sum().item<double>() / static_cast<double>(pictures * count);
  return found;
}

}  // namespace vsearch::training

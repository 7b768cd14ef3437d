#include "train/head_maps.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "train/losses_common.h"

namespace vsearch::training {
namespace {

constexpr double kShrinkage = 0.1;
constexpr std::int64_t kRowsAtOnce = 16'384;

// Eigenvalues, ascending, and eigenvectors of a symmetric matrix. On one thread: several wait for
// each other at every column, which takes ten times as long, and minutes on a busy machine.
std::tuple<at::Tensor, at::Tensor> eigenvectors_of(const at::Tensor& matrix) {
  struct OneThread {
    const int before = at::get_num_threads();
    OneThread() { at::set_num_threads(1); }
    ~OneThread() { at::set_num_threads(before); }
    OneThread(const OneThread&) = delete;
    OneThread& operator=(const OneThread&) = delete;
  };
  const OneThread one;
  return at::linalg_eigh(matrix);
}

// The map about `centre`, as long as what comes in, so that rates mean the same for every encoder.
Head head_about(const at::Tensor& centre, at::Tensor map) {
  map = map * (std::sqrt(static_cast<double>(map.size(0))) / map.norm());
  return {map.to(at::kFloat).contiguous(), -map.matmul(centre).to(at::kFloat).contiguous()};
}

// Calls work(float64 rows, the number of the first) for some rows at a time.
template <class Work>
void for_blocks(const at::Tensor& features, Work work) {
  for (std::int64_t begin = 0; begin < features.size(0); begin += kRowsAtOnce) {
    const std::int64_t count = std::min(kRowsAtOnce, features.size(0) - begin);
    work(features.narrow(0, begin, count).to(at::kDouble), begin);
  }
}

// A matrix to the power -1/2, of one that is symmetric and positive.
at::Tensor inverse_root(const at::Tensor& matrix) {
  const auto [values, vectors] = eigenvectors_of(matrix);
  return vectors.matmul(values.clamp_min(1e-12).rsqrt().unsqueeze(1) * vectors.t());
}

}  // namespace

Head whitening_head(const at::Tensor& features, const at::Tensor& labels, std::int64_t dim,
                    double shrinkage) {
  const at::NoGradGuard no_gradients;
  const std::int64_t width = features.size(1);
  const std::int64_t classes = labels.max().item<std::int64_t>() + 1;
  const at::Tensor counts = at::bincount(labels, {}, classes).to(at::kDouble);
  at::Tensor sums = at::zeros({classes, width}, at::kDouble);
  at::Tensor products = at::zeros({width, width}, at::kDouble);
  for_blocks(features, [&](const at::Tensor& rows, std::int64_t begin) {
    sums.index_add_(0, labels.narrow(0, begin, rows.size(0)), rows);
    products += rows.t().matmul(rows);
  });
  const at::Tensor means = sums / counts.clamp_min(1).unsqueeze(1);
  const auto n = static_cast<double>(features.size(0));
  // The mean of (x - m)(x - m)' over all x, m the mean of its class.
  at::Tensor within = (products - sums.t().matmul(means)) / n;
  const double mean_variance = within.diagonal().mean().item<double>();
  within =
      within * (1 - shrinkage) + at::eye(width, at::kDouble) * (shrinkage * mean_variance + 1e-9);
  at::Tensor map = inverse_root(within);
  const at::Tensor centre = sums.sum(0) / n;
  if (dim < width) {
    // Where classes lie furthest apart after that.
    const at::Tensor apart = (means - centre).matmul(map) * counts.sqrt().unsqueeze(1);
    const at::Tensor vectors = std::get<1>(eigenvectors_of(apart.t().matmul(apart)));
    map = vectors.slice(1, width - dim).t().matmul(map);
  }
  return head_about(centre, map);
}

Head principal_head(const at::Tensor& features, std::int64_t dim, bool whitens, double shrinkage) {
  const at::NoGradGuard no_gradients;
  const std::int64_t width = features.size(1);
  at::Tensor sum = at::zeros({width}, at::kDouble);
  at::Tensor products = at::zeros({width, width}, at::kDouble);
  for_blocks(features, [&](const at::Tensor& rows, std::int64_t) {
    sum += rows.sum(0);
    products += rows.t().matmul(rows);
  });
  const auto n = static_cast<double>(features.size(0));
  const at::Tensor mean = sum / n;
  const auto [variances, directions] = eigenvectors_of(products / n - at::outer(mean, mean));
  at::Tensor map = directions.slice(1, width - dim).flip(1).t();
  if (whitens) {
    const at::Tensor kept = variances.slice(0, width - dim).flip(0).clamp_min(0);
    const at::Tensor drawn =
        kept * (1 - shrinkage) + shrinkage * variances.clamp_min(0).mean() + 1e-12;
    map = drawn.rsqrt().unsqueeze(1) * map;
  }
  return head_about(mean, map);
}

Head computed_head(HeadKind kind, const at::Tensor& features, const at::Tensor& labels,
                   std::int64_t dim) {
  switch (kind) {
    case HeadKind::kPca:
      return principal_head(features, dim, false, kShrinkage);
    case HeadKind::kPcaWhitening:
      return principal_head(features, dim, true, kShrinkage);
    case HeadKind::kLda:
    case HeadKind::kLearned:
      break;
  }
  return whitening_head(features, labels, dim, kShrinkage);
}

at::Tensor apply_head(const Head& head, const at::Tensor& embeddings) {
  return through_head(head, to_unit(embeddings));
}

at::Tensor through_head(const Head& head, const at::Tensor& unit) {
  const at::Tensor straight = at::linear(unit, head.weight, head.bias);
  if (!head.hidden) return straight;
  const at::Tensor units = at::relu(at::linear(unit, head.hidden->weight, head.hidden->bias));
  return straight + at::linear(units, head.hidden->back);
}

}  // namespace vsearch::training

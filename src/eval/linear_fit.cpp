#include "eval/linear_fit.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>

#include "eval/seeded.h"

namespace vsearch::eval {
namespace {

using Rows = Eigen::MatrixXd;
constexpr int kFolds = 5;
constexpr std::array<double, 4> kPenalties{1e-4, 1e-3, 1e-2, 1e-1};  // of the mean eigenvalue

Rows to_eigen(MatrixView view) {
  using Dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<const Dense>(view.data, static_cast<Eigen::Index>(view.rows),
                                 static_cast<Eigen::Index>(view.cols))
      .cast<double>();
}

Rows chosen(const Rows& all, const std::vector<Eigen::Index>& rows) {
  return all(rows, Eigen::all);
}

// What a fit to `x` and `y`, both with their means taken off, says of `asked`. In the space of rows
// where these are fewer than the features.
Rows predict(const Rows& x, const Rows& y, const Rows& asked, double penalty) {
  const bool by_rows = x.rows() < x.cols();
  Rows gram = by_rows ? Rows(x * x.transpose()) : Rows(x.transpose() * x);
  const double mean = gram.trace() / static_cast<double>(gram.rows());
  gram.diagonal().array() += std::max(penalty * mean, std::numeric_limits<double>::min());
  const Eigen::LDLT<Rows> solver(gram);
  if (by_rows) return asked * (x.transpose() * solver.solve(y));
  return asked * solver.solve(x.transpose() * y);
}

}  // namespace

std::vector<float> cross_validated_fit(MatrixView features, MatrixView targets,
                                       std::uint64_t seed) {
  Rows x = to_eigen(features);
  Rows y = to_eigen(targets);
  const Eigen::Index count = x.rows();
  const Eigen::RowVectorXd x_mean = x.colwise().mean();
  const Eigen::RowVectorXd y_mean = y.colwise().mean();
  x.rowwise() -= x_mean;
  y.rowwise() -= y_mean;
  const double variance = y.squaredNorm() / static_cast<double>(count);

  std::vector<Eigen::Index> order(features.rows);
  std::iota(order.begin(), order.end(), Eigen::Index{0});
  Seeded(seed).shuffle(std::span(order));

  std::vector<float> best;
  double best_mean = -std::numeric_limits<double>::infinity();
  for (const double penalty : kPenalties) {
    std::vector<float> explained(features.rows);
    for (int fold = 0; fold < kFolds; ++fold) {
      std::vector<Eigen::Index> fitted;
      std::vector<Eigen::Index> asked;
      for (std::size_t i = 0; i < order.size(); ++i) {
        (static_cast<int>(i % kFolds) == fold ? asked : fitted).push_back(order[i]);
      }
      const Rows errors = chosen(y, asked) -
                          predict(chosen(x, fitted), chosen(y, fitted), chosen(x, asked), penalty);
      for (std::size_t i = 0; i < asked.size(); ++i) {
        const double error = errors.row(static_cast<Eigen::Index>(i)).squaredNorm();
        explained[static_cast<std::size_t>(asked[i])] =
            static_cast<float>(variance > 0 ? 1.0 - error / variance : 0.0);
      }
    }
    const double mean = std::accumulate(explained.begin(), explained.end(), 0.0);
    if (mean > best_mean) {
      best_mean = mean;
      best = std::move(explained);
    }
  }
  return best;
}

double effective_rank(MatrixView rows) {
  Rows x = to_eigen(rows);
  const Eigen::RowVectorXd mean = x.colwise().mean();
  x.rowwise() -= mean;
  // Both products have the same eigenvalues but for zeros.
  const Rows gram = x.rows() < x.cols() ? Rows(x * x.transpose()) : Rows(x.transpose() * x);
  const Eigen::SelfAdjointEigenSolver<Rows> solver(gram, Eigen::EigenvaluesOnly);
  const double sum = solver.eigenvalues().cwiseMax(0.0).sum();
  if (sum <= 0) return 1;  // all rows are the same
  double entropy = 0;
  for (const double value : solver.eigenvalues()) {
    const double share = std::max(value, 0.0) / sum;
    if (share > 0) entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

}  // namespace vsearch::eval

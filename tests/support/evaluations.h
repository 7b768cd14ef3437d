// Evaluations without an encoder: every picture asks all others, and a formula says how similar two
// are.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "vsearch/dataset.h"
#include "vsearch/evaluator.h"

namespace vsearch_test {

inline vsearch::Estimate estimate_of(const std::vector<float>& values) {
  vsearch::Estimate e;
  for (const float value : values) {
    if (std::isnan(value)) continue;
    e.mean += value;
    ++e.count;
  }
  const double n = std::max<double>(1, static_cast<double>(e.count));
  e.mean /= n;
  const double half = 1.96 * std::sqrt(e.mean * (1 - e.mean) / n);
  e.low = std::max(0.0, e.mean - half);
  e.high = std::min(1.0, e.mean + half);
  return e;
}

inline std::vector<double> means_of(const vsearch::Matrix& values,
                                    const std::vector<std::size_t>& rows) {
  std::vector<double> means(values.cols);
  for (const std::size_t row : rows) {
    for (std::size_t c = 0; c < values.cols; ++c) {
      means[c] += static_cast<double>(values.row(row)[c]) / static_cast<double>(rows.size());
    }
  }
  return means;
}

// Of a protocol in which all pictures of `dataset` are queries and gallery.
inline vsearch::ProtocolResult rank_all(
    const vsearch::Dataset& dataset, const std::string& protocol,
    const std::function<float(std::uint32_t, std::uint32_t)>& similarity) {
  const auto count = static_cast<std::uint32_t>(dataset.pictures.size());
  vsearch::ProtocolResult result;
  result.protocol = protocol;
  result.queries = count;
  result.gallery = count;
  result.metrics = {"R@1", "R@5", "R@10", "R@20", "P@5", "mAP", "mAP@R", "MRR"};
  result.pictures.resize(count);
  std::iota(result.pictures.begin(), result.pictures.end(), 0U);
  result.gallery_pictures = result.pictures;
  vsearch::RetrievalScores& scores = result.scores;
  scores.names = result.metrics;
  scores.values = vsearch::Matrix(count, result.metrics.size());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::uint32_t query = 0; query < count; ++query) {
    std::vector<vsearch::RankedAnswer> answers;
    for (std::uint32_t row = 0; row < count; ++row) {
      if (row == query) continue;
      const bool right = dataset.pictures[row].label == dataset.pictures[query].label;
      answers.push_back({row, similarity(query, row), right});
    }
    std::ranges::stable_sort(answers, std::greater<>(), &vsearch::RankedAnswer::similarity);
    std::uint32_t first = 0, rank = 0, right = 0, right_in_5 = 0;
    const auto all =
        static_cast<std::uint32_t>(std::ranges::count_if(answers, &vsearch::RankedAnswer::right));
    float precision = 0, precision_at_r = 0, near = nan, far = nan;
    for (const vsearch::RankedAnswer& answer : answers) {
      ++rank;
      float& nearest = answer.right ? near : far;
      if (std::isnan(nearest)) nearest = answer.similarity;
      if (!answer.right) continue;
      if (first == 0) first = rank;
      ++right;
      right_in_5 += rank <= 5 ? 1U : 0U;
      precision += static_cast<float>(right) / static_cast<float>(rank);
      if (rank <= all) precision_at_r += static_cast<float>(right) / static_cast<float>(rank);
    }
    const auto at = [&](std::uint32_t k) { return first > 0 && first <= k ? 1.0F : 0.0F; };
    const auto values = {at(1),
                         at(5),
                         at(10),
                         at(20),
                         static_cast<float>(right_in_5) / 5,
                         precision / static_cast<float>(all),
                         precision_at_r / static_cast<float>(all),
                         1 / static_cast<float>(first)};
    std::ranges::copy(values, scores.values.row(query).begin());
    scores.right_answers.push_back(all);
    scores.first_right.push_back(first);
    scores.nearest_right.push_back(near);
    scores.nearest_wrong.push_back(far);
    answers.resize(std::min<std::size_t>(answers.size(), 5));
    scores.answers.push_back(std::move(answers));
  }
  for (std::size_t c = 0; c < result.metrics.size(); ++c) {
    std::vector<float> column;
    for (std::uint32_t query = 0; query < count; ++query) {
      column.push_back(scores.values.row(query)[c]);
    }
    result.estimates.push_back(estimate_of(column));
  }
  const auto groups = [&](const std::vector<std::string>& names, auto number_of) {
    std::vector<vsearch::GroupScores> some;
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::vector<std::size_t> rows;
      for (std::uint32_t query = 0; query < count; ++query) {
        if (number_of(query) == static_cast<std::int32_t>(i)) rows.push_back(query);
      }
      if (!rows.empty()) some.push_back({names[i], rows.size(), means_of(scores.values, rows)});
    }
    return some;
  };
  result.by_class = groups(dataset.classes, [&](auto i) { return dataset.pictures[i].label; });
  std::ranges::stable_sort(result.by_class, {}, [](const auto& group) { return group.means[5]; });
  if (!dataset.domains.empty()) {
    result.by_field["domain"] =
        groups(dataset.domains, [&](auto i) { return dataset.pictures[i].domain; });
  }
  return result;
}

}  // namespace vsearch_test

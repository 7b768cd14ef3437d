#include "train/grouped_sampler.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <utility>

namespace vsearch::training {
namespace {

using Rows = std::vector<std::uint32_t>;

std::vector<std::int32_t> classes_of(const Rows& rows, const std::vector<std::int32_t>& labels) {
  std::set<std::int32_t> classes;
  for (const std::uint32_t row : rows) classes.insert(labels[row]);
  return {classes.begin(), classes.end()};
}

std::vector<Rows> make_groups(const std::vector<std::int32_t>& labels,
                              const std::vector<std::int32_t>& groups) {
  std::map<std::int32_t, Rows> by_number;
  for (std::uint32_t row = 0; row < labels.size(); ++row) {
    by_number[groups.empty() ? 0 : groups[row]].push_back(row);
  }
  std::vector<Rows> result;
  Rows rest;
  for (auto& [number, rows] : by_number) {
    if (classes_of(rows, labels).size() > 1) {
      result.push_back(std::move(rows));
    } else {
      rest.insert(rest.end(), rows.begin(), rows.end());
    }
  }
  if (rest.empty() && !result.empty()) return result;
  if (result.empty() || classes_of(rest, labels).size() > 1) {
    result.push_back(std::move(rest));
  } else {
    Rows& largest = *std::ranges::max_element(result, {}, &Rows::size);
    largest.insert(largest.end(), rest.begin(), rest.end());
  }
  return result;
}

// Of `values`, those of these rows; nothing of nothing.
std::vector<std::int32_t> taken(const std::vector<std::int32_t>& values, const Rows& rows) {
  std::vector<std::int32_t> result;
  if (values.empty()) return result;
  for (const std::uint32_t row : rows) result.push_back(values[row]);
  return result;
}

}  // namespace

GroupedSampler::GroupedSampler(const std::vector<std::int32_t>& labels,
                               const std::vector<std::int32_t>& groups, bool in_turn,
                               const SamplerSettings& settings)
    : in_turn_(in_turn), seed_(settings.seed) {
  for (Rows& rows : make_groups(labels, groups)) {
    SamplerSettings own = settings;
    // One group has the batches that it would have by itself.
    if (!parts_.empty()) own.seed = derived_seed(settings.seed, parts_.size());
    own.balanced = taken(settings.balanced, rows);
    classes_.push_back(classes_of(rows, labels));
    BatchSampler sampler(taken(labels, rows), own);
    parts_.push_back({std::move(rows), std::move(sampler)});
  }
}

std::size_t GroupedSampler::batch_count() const {
  return std::transform_reduce(parts_.begin(), parts_.end(), std::size_t{0}, std::plus<>(),
                               [](const Part& part) { return part.sampler.batch_count(); });
}

std::vector<GroupBatch> GroupedSampler::epoch(std::uint32_t number) const {
  std::vector<GroupBatch> batches;
  const auto add = [&](std::size_t group, std::vector<std::uint32_t> rows) {
    for (std::uint32_t& row : rows) row = parts_[group].rows[row];
    batches.push_back({std::move(rows), group});
  };
  if (!in_turn_ || parts_.size() == 1) {
    for (std::size_t group = 0; group < parts_.size(); ++group) {
      for (auto& rows : parts_[group].sampler.epoch(number)) add(group, std::move(rows));
    }
    if (parts_.size() > 1) {
      eval::Seeded random(derived_seed(seed_, number));
      random.shuffle(std::span(batches));
    }
    return batches;
  }
  // A group that is gone through goes on with batches that no epoch of it has, as far as there are
  // fewer than a million epochs.
  constexpr std::uint32_t kAgain = 1'000'000;
  std::vector<std::size_t> order(parts_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  eval::Seeded random(derived_seed(seed_, number));
  random.shuffle(std::span(order));
  const std::size_t count = batch_count();
  std::vector<std::vector<std::vector<std::uint32_t>>> dealt(order.size());
  for (std::size_t turn = 0; turn < order.size(); ++turn) {
    const std::size_t wanted = count / order.size() + (turn < count % order.size() ? 1 : 0);
    for (std::uint32_t again = 0; dealt[turn].size() < wanted; ++again) {
      auto more = parts_[order[turn]].sampler.epoch(number + again * kAgain);
      std::ranges::move(more, std::back_inserter(dealt[turn]));
    }
  }
  for (std::size_t b = 0; b < count; ++b) {
    const std::size_t turn = b % order.size();
    add(order[turn], std::move(dealt[turn][b / order.size()]));
  }
  return batches;
}

}  // namespace vsearch::training

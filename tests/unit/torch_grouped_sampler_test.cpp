// Batches of one group each, and what comes equally often.
#include "train/grouped_sampler.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "support/errors.h"

using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::training::BatchSampler;
using vsearch::training::GroupBatch;
using vsearch::training::GroupedSampler;
using vsearch::training::SamplerSettings;
using vsearch_test::error_message;

namespace {

using Numbers = std::vector<std::int32_t>;

// Group g has counts[g] pictures, of classes 10 g, 10 g + 1, ... in turn, `classes` of them.
struct Stock {
  Stock(const std::vector<std::size_t>& counts, std::int32_t classes) {
    for (std::size_t g = 0; g < counts.size(); ++g) {
      for (std::size_t i = 0; i < counts[g]; ++i) {
        groups.push_back(static_cast<std::int32_t>(g));
        labels.push_back(static_cast<std::int32_t>(10 * g + i % static_cast<std::size_t>(classes)));
      }
    }
  }
  Numbers labels;
  Numbers groups;
};

SamplerSettings batches_of(std::uint32_t size, std::uint32_t per_class = 0) {
  SamplerSettings settings;
  settings.batch_size = size;
  settings.per_class = per_class;
  return settings;
}

// How many batches each group of the stock has; each is of one alone.
std::map<std::int32_t, std::size_t> batches_by_group(const std::vector<GroupBatch>& batches,
                                                     const Stock& stock) {
  std::map<std::int32_t, std::size_t> counts;
  for (const GroupBatch& batch : batches) {
    std::set<std::int32_t> groups;
    for (const std::uint32_t row : batch.rows) groups.insert(stock.groups.at(row));
    CHECK(groups.size() == 1);
    ++counts[*groups.begin()];
  }
  return counts;
}

}  // namespace

TEST_CASE("a batch is of one group, and an epoch has every picture once") {
  const Stock stock({40, 8, 24}, 4);
  const GroupedSampler sampler(stock.labels, stock.groups, false, batches_of(8));
  CHECK(sampler.batch_count() == 9);
  const auto batches = sampler.epoch(1);
  CHECK(batches_by_group(batches, stock) ==
        std::map<std::int32_t, std::size_t>{{0, 5}, {1, 1}, {2, 3}});
  std::set<std::uint32_t> rows;
  for (const auto& batch : batches) {
    rows.insert(batch.rows.begin(), batch.rows.end());
    for (const std::uint32_t row : batch.rows) {
      const auto& classes = sampler.classes().at(batch.group);
      CHECK(std::ranges::binary_search(classes, stock.labels[row]));
    }
  }
  CHECK(rows.size() == 72);
  CHECK(sampler.classes()[1] == Numbers{10, 11, 12, 13});
  // Groups come in an order of each epoch.
  const auto order = [](const std::vector<GroupBatch>& of) {
    std::vector<std::size_t> groups;
    for (const auto& batch : of) groups.push_back(batch.group);
    return groups;
  };
  CHECK_FALSE(std::ranges::is_sorted(order(batches)));
  CHECK(order(sampler.epoch(2)) != order(batches));
  CHECK(order(sampler.epoch(1)) == order(batches));
}

TEST_CASE("groups that take turns have equally many batches") {
  const Stock stock({80, 8, 24}, 4);
  const GroupedSampler sampler(stock.labels, stock.groups, true, batches_of(8));
  REQUIRE(sampler.batch_count() == 14);
  const auto batches = sampler.epoch(3);
  REQUIRE(batches.size() == 14);
  for (const auto& [group, count] : batches_by_group(batches, stock)) {
    CHECK(count >= 4);
    CHECK(count <= 5);
  }
  for (std::size_t b = 3; b < batches.size(); ++b) CHECK(batches[b].group == batches[b - 3].group);
  CHECK(batches[0].group != batches[1].group);
  // The small group is gone through again, otherwise each time.
  std::set<std::vector<std::uint32_t>> of_small;
  for (const auto& batch : batches) {
    if (stock.groups[batch.rows[0]] == 1) of_small.insert(batch.rows);
  }
  CHECK(of_small.size() >= 4);
}

TEST_CASE("groups in which nothing is told apart go together") {
  SECTION("with each other") {
    Stock stock({16, 4, 4}, 4);
    for (std::size_t row = 16; row < 24; ++row) stock.labels[row] = 90 + stock.groups[row];
    const GroupedSampler sampler(stock.labels, stock.groups, false, batches_of(8));
    CHECK(sampler.classes() == std::vector<Numbers>{{0, 1, 2, 3}, {91, 92}});
  }
  SECTION("or with the largest") {
    Stock stock({16, 24, 4}, 4);
    for (std::size_t row = 40; row < 44; ++row) stock.labels[row] = 90;
    const GroupedSampler sampler(stock.labels, stock.groups, false, batches_of(4));
    CHECK(sampler.classes() == std::vector<Numbers>{{0, 1, 2, 3}, {10, 11, 12, 13, 90}});
    CHECK(sampler.batch_count() == 11);
  }
  SECTION("a set of one class is none to learn from") {
    CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                             [] {
                               GroupedSampler({5, 5, 5}, {1, 1, 2}, false, batches_of(2));
                             }),
               Contains("a single class"));
  }
}

TEST_CASE("without groups batches are those of a BatchSampler") {
  const Stock stock({20, 12}, 4);
  for (const bool in_turn : {false, true}) {
    const GroupedSampler grouped(stock.labels, {}, in_turn, batches_of(8, 2));
    const BatchSampler plain(stock.labels, batches_of(8, 2));
    const auto batches = grouped.epoch(4);
    const auto wanted = plain.epoch(4);
    REQUIRE(batches.size() == wanted.size());
    for (std::size_t b = 0; b < wanted.size(); ++b) CHECK(batches[b].rows == wanted[b]);
  }
}

TEST_CASE("what is balanced comes equally often") {
  Stock stock({90, 10}, 4);
  SamplerSettings settings = batches_of(10);
  settings.balanced = stock.groups;
  std::map<std::int32_t, std::size_t> counts;
  for (const auto& batch : BatchSampler(stock.labels, settings).epoch(1)) {
    for (const std::uint32_t row : batch) ++counts[stock.groups[row]];
  }
  CHECK(counts[0] == 50);
  CHECK(counts[1] == 50);

  settings.per_class = 2;
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { BatchSampler(stock.labels, settings); }),
      Contains("leave out balance_field"));
  settings.per_class = 0;
  settings.balance_classes = true;
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { BatchSampler(stock.labels, settings); }),
      Contains("leave out balance_field"));
  settings.balance_classes = false;
  settings.balanced.pop_back();
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { BatchSampler(stock.labels, settings); }),
      Contains("99 numbers"));
}

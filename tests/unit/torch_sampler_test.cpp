// Which pictures make a batch.
#include "train/sampler.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/errors.h"

using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::training::BatchSampler;
using vsearch::training::derived_seed;
using vsearch::training::SamplerSettings;
using vsearch_test::error_message;

namespace {

using Labels = std::vector<std::int32_t>;
using Rows = std::vector<std::uint32_t>;
using Batches = std::vector<Rows>;

SamplerSettings sampling(std::uint32_t batch_size, std::uint32_t per_class = 0,
                         bool balance_classes = false, std::uint64_t seed = 1) {
  return {batch_size, per_class, balance_classes, seed, {}};
}

// Class i has sizes[i] pictures, and pictures of all classes are mixed.
Labels labels_of(const std::vector<std::size_t>& sizes) {
  Labels labels;
  for (std::size_t turn = 0; turn < std::ranges::max(sizes); ++turn) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (turn < sizes[i]) labels.push_back(static_cast<std::int32_t>(i));
    }
  }
  return labels;
}

Rows joined(const Batches& batches) {
  Rows rows;
  for (const Rows& batch : batches) rows.insert(rows.end(), batch.begin(), batch.end());
  return rows;
}

std::map<std::uint32_t, std::size_t> counts_of_rows(const Rows& rows) {
  std::map<std::uint32_t, std::size_t> counts;
  for (const std::uint32_t row : rows) ++counts[row];
  return counts;
}

std::map<std::int32_t, std::size_t> counts_of_classes(const Rows& rows, const Labels& labels) {
  std::map<std::int32_t, std::size_t> counts;
  for (const std::uint32_t row : rows) ++counts[labels.at(row)];
  return counts;
}

}  // namespace

TEST_CASE("an epoch has each picture once") {
  const Labels labels = labels_of({40, 30, 20, 10});
  const BatchSampler sampler(labels, sampling(20));
  const Batches batches = sampler.epoch(1);
  REQUIRE(batches.size() == 5);
  REQUIRE(sampler.batch_count() == 5);
  for (const Rows& batch : batches) CHECK(batch.size() == 20);
  const Rows rows = joined(batches);
  CHECK(std::set(rows.begin(), rows.end()).size() == 100);
  CHECK(*std::ranges::max_element(rows) == 99);
  CHECK_FALSE(std::ranges::is_sorted(rows));
}

TEST_CASE("a short last batch is left out, unless it is the only one") {
  const Labels labels = labels_of({12, 11});
  const Batches several = BatchSampler(labels, sampling(10)).epoch(1);
  REQUIRE(several.size() == 2);
  CHECK(counts_of_rows(joined(several)).size() == 20);
  const Batches one = BatchSampler(labels, sampling(64)).epoch(1);
  REQUIRE(one.size() == 1);
  CHECK(counts_of_rows(one[0]).size() == 23);
  // Which pictures are left out is another matter in each epoch.
  CHECK(counts_of_rows(joined(several)) !=
        counts_of_rows(joined(BatchSampler(labels, sampling(10)).epoch(2))));
}

TEST_CASE("batches depend on seed and epoch alone, on every machine") {
  const Labels labels = labels_of({8, 6, 4, 2});
  for (const auto& [per_class, balance] :
       {std::pair(0U, false), std::pair(0U, true), std::pair(2U, false), std::pair(2U, true)}) {
    const SamplerSettings settings = sampling(4, per_class, balance);
    const BatchSampler sampler(labels, settings);
    const Batches second = sampler.epoch(2);
    CHECK(sampler.epoch(1) == BatchSampler(labels, settings).epoch(1));
    CHECK(sampler.epoch(2) == second);
    CHECK(sampler.epoch(1) != second);
    CHECK(sampler.epoch(1) != BatchSampler(labels, sampling(4, per_class, balance, 2)).epoch(1));
  }
  CHECK(derived_seed(1, 0) == 0xDCE423FC82C0D5B8U);
  CHECK(BatchSampler(labels, sampling(4)).epoch(1)[0] == Rows{11, 7, 3, 19});
  CHECK(BatchSampler(labels, sampling(4, 2)).epoch(1)[0] == Rows{2, 10, 15, 17});
}

TEST_CASE("balanced classes come equally often") {
  const Labels labels = labels_of({300, 60, 7, 1});  // 368 pictures: 92 of each
  const BatchSampler sampler(labels, sampling(46, 0, true));
  const Batches batches = sampler.epoch(3);
  REQUIRE(batches.size() == 8);
  const Rows rows = joined(batches);
  for (const auto& [label, count] : counts_of_classes(rows, labels)) CHECK(count == 92);
  for (const auto& [row, count] : counts_of_rows(rows)) {
    const std::size_t turns = labels[row] == 0   ? 1
                              : labels[row] == 1 ? 2
                              : labels[row] == 2 ? 14
                                                 : 92;
    CHECK(count <= turns);
    if (labels[row] != 0) CHECK(count + 1 >= turns);  // none is preferred
  }
  // Of a large class other pictures in each epoch.
  std::set<std::uint32_t> seen;
  for (std::uint32_t epoch = 1; epoch <= 20; ++epoch) {
    for (const std::uint32_t row : joined(sampler.epoch(epoch))) seen.insert(row);
  }
  CHECK(seen.size() > 360);
}

TEST_CASE("balance holds where there are more classes than pictures in an epoch's batches") {
  Labels labels;
  for (std::int32_t i = 0; i < 50; ++i) labels.push_back(i * 3);  // numbers with gaps
  const Batches batches = BatchSampler(labels, sampling(16, 8, true)).epoch(1);
  REQUIRE(batches.size() == 3);
  for (const Rows& batch : batches) CHECK(counts_of_classes(batch, labels).size() == 2);
  CHECK(counts_of_classes(joined(batches), labels).size() == 6);
}

TEST_CASE("a batch has P classes with K pictures each") {
  std::vector<std::size_t> sizes(40, 9);
  sizes[0] = 100;
  sizes[1] = 1;
  sizes[2] = 3;
  const Labels labels = labels_of(sizes);
  for (const bool balance : {false, true}) {
    const BatchSampler sampler(labels, sampling(32, 4, balance));
    for (std::uint32_t epoch = 1; epoch <= 20; ++epoch) {
      const Batches batches = sampler.epoch(epoch);
      REQUIRE(batches.size() == labels.size() / 32);
      for (const Rows& batch : batches) {
        REQUIRE(batch.size() == 32);
        const auto classes = counts_of_classes(batch, labels);
        CHECK(classes.size() == 8);
        for (const auto& [label, count] : classes) CHECK(count == 4);
        for (const auto& [row, count] : counts_of_rows(batch)) {
          const std::size_t size = sizes[static_cast<std::size_t>(labels[row])];
          CHECK(count <= (4 + size - 1) / size);
        }
      }
    }
  }
}

TEST_CASE("classes come by their size, or equally often") {
  // 25 groups of four of the first, and 5 of each other; four of the small ones share one.
  const Labels labels = labels_of({100, 20, 20, 20, 20, 20, 20, 20, 20, 20, 1, 1, 1, 1});
  constexpr std::uint32_t kEpochs = 200;
  for (const bool balance : {false, true}) {
    const BatchSampler sampler(labels, sampling(8, 4, balance));
    std::map<std::int32_t, std::size_t> groups;
    for (std::uint32_t epoch = 1; epoch <= kEpochs; ++epoch) {
      for (const auto& [label, count] : counts_of_classes(joined(sampler.epoch(epoch)), labels)) {
        groups[label] += count / 4;
      }
    }
    // 284 pictures are 35 batches of two groups.
    const double expected = balance ? 70.0 / 14 : 25 * 70.0 / 71;
    const double rare = balance ? 70.0 / 14 : 0.25 * 70.0 / 71;
    const auto mean = [&](std::int32_t label) {
      return static_cast<double>(groups[label]) / kEpochs;
    };
    CHECK(mean(0) == Approx(expected).epsilon(0.05));
    CHECK(mean(5) == Approx(5.0).epsilon(0.05));
    CHECK((mean(10) + mean(11) + mean(12) + mean(13)) / 4 == Approx(rare).epsilon(0.15));
  }
}

TEST_CASE("an epoch of P x K batches shows nearly all pictures") {
  const Labels labels = labels_of(std::vector<std::size_t>(64, 8));
  const Rows rows = joined(BatchSampler(labels, sampling(32, 4)).epoch(1));
  CHECK(rows.size() == 512);
  // Two groups of each class, and only at the end some class twice in a batch's way.
  CHECK(counts_of_rows(rows).size() > 490);
}

TEST_CASE("with fewer classes than P all come equally often") {
  const Labels labels = labels_of({50, 50, 50});
  for (const Rows& batch : BatchSampler(labels, sampling(24, 4)).epoch(1)) {
    const auto classes = counts_of_classes(batch, labels);
    REQUIRE(classes.size() == 3);
    for (const auto& [label, count] : classes) CHECK(count == 8);
  }
}

TEST_CASE("sampling that makes no sense is refused") {
  const Labels two = labels_of({5, 5});
  const auto message = [](const Labels& labels, const SamplerSettings& settings) {
    return error_message(ErrorCode::kInvalidArgument, [&] { BatchSampler(labels, settings); });
  };
  CHECK_THAT(message(two, sampling(1)), Contains("batch of 1") && Contains("at least 2"));
  CHECK_THAT(message(two, sampling(8, 9)),
             Contains("9 pictures per class") && Contains("fewer per class"));
  CHECK_THAT(message(two, sampling(10, 4)), Contains("take 8 or 12 as the batch size"));
  CHECK_THAT(message(labels_of({5}), sampling(2)), Contains("a single class"));
  CHECK_THAT(message({}, sampling(2)), Contains("no class"));
  CHECK_THAT(message({0, 1, -1}, sampling(2)), Contains("picture 2") && Contains("no label"));
}

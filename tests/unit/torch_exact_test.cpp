// Exact search through torch, against the index's own. On a machine with a GPU both devices.
#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <torch/cuda.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "support/errors.h"
#include "support/vectors.h"
#include "vsearch/exact_searcher.h"

using Catch::Matchers::Contains;
using vsearch::ErrorCode;
using vsearch::ExactSearcher;
using vsearch::ExactSearcherOptions;
using vsearch::Id;
using vsearch::IdFilter;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::MatrixView;
using vsearch::Metric;
using vsearch::Neighbor;
using vsearch::SearchOptions;
using vsearch::SearchReport;
using vsearch::Storage;
using vsearch_test::Clusters;
using vsearch_test::error_message;
using vsearch_test::ids_from;
// Compared in double parentheses: torch would have Catch print what it cannot print.
using Answers = std::vector<std::vector<Neighbor>>;

namespace {

Index make(std::uint32_t dim, Metric metric = Metric::kCosine, Storage storage = Storage::kInt8) {
  IndexOptions options;
  options.dim = dim;
  options.metric = metric;
  options.storage = storage;
  options.links = 4;
  options.build_breadth = 8;
  return Index(options);
}

ExactSearcherOptions on(const std::string& device) {
  ExactSearcherOptions options;
  options.device = device;
  options.working_bytes = 1 << 20;  // several tiles, and several groups of queries
  return options;
}

std::vector<std::string> devices() {
  std::vector<std::string> found{"cpu"};
  if (torch::cuda::is_available()) found.emplace_back("cuda");
  return found;
}

Answers by_index(const Index& index, const Matrix& queries, SearchOptions options = {}) {
  options.exact = true;
  options.report = nullptr;
  return index.search_batch(queries.view(), options);
}

}  // namespace

TEST_CASE("a searcher answers as the index does, to the last bit") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kInnerProduct, Metric::kL2);
  const auto storage = GENERATE(Storage::kInt8, Storage::kFloat32);
  CAPTURE(static_cast<int>(metric), static_cast<int>(storage));
  Clusters clusters(81, 48);
  Matrix rows = clusters.draw(4000);
  // More equal vectors than candidates: these queries the index answers itself.
  for (std::size_t row = 0; row < 100; ++row) {
    std::ranges::copy(rows.row(200), rows.row(row).begin());
  }
  Index index = make(48, metric, storage);
  index.add(rows.view(), ids_from(7, 4000));
  index.remove(ids_from(1000, 100));
  Matrix queries = clusters.draw(150);
  std::ranges::copy(rows.row(200), queries.row(3).begin());
  for (const std::string& device : devices()) {
    INFO(device);
    ExactSearcher searcher(index, on(device));
    CHECK(searcher.device() == (device == "cuda" ? "cuda:0" : device));
    SearchReport report;
    SearchOptions options;
    options.report = &report;
    CHECK((searcher.search_batch(queries.view(), options) == by_index(index, queries)));
    // Hardly any query was left to the index.
    CHECK(report.distances >= 150 * 3900);
    CHECK(report.distances < 160 * 3900);
    options.k = 50;
    options.threads = 2;
    CHECK((searcher.search_batch(queries.view(), options) == by_index(index, queries, options)));
    options.k = 4000;
    CHECK((searcher.search_batch(queries.view(), options) == by_index(index, queries, options)));
  }
}

TEST_CASE("a searcher far from the origin") {
  Clusters clusters(82, 32, 5, 0.01F);
  Matrix rows = clusters.draw(2000);
  for (float& value : rows.data) value += 100.0F;
  Index index = make(32, Metric::kL2);
  index.add(rows.view(), ids_from(0, 2000));
  Matrix queries(40, 32);
  std::copy_n(rows.data.begin(), queries.data.size(), queries.data.begin());
  ExactSearcher searcher(index, on("cpu"));
  CHECK((searcher.search_batch(queries.view()) == by_index(index, queries)));
}

TEST_CASE("a searcher's filters") {
  Clusters clusters(83, 24);
  Index index = make(24);
  index.add(clusters.draw(3000).view(), ids_from(0, 3000));
  const Matrix queries = clusters.draw(60);
  std::vector<Id> third{9999};
  for (Id id = 0; id < 3000; id += 3) third.push_back(id);
  for (const std::string& device : devices()) {
    ExactSearcher searcher(index, on(device));
    for (const auto& ids : {third, ids_from(100, 20), ids_from(5000, 5)}) {
      const IdFilter filter(ids);
      SearchOptions options;
      options.filter = &filter;
      CHECK((searcher.search_batch(queries.view(), options) == by_index(index, queries, options)));
    }
  }
}

TEST_CASE("a searcher follows its index") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kL2);
  Clusters clusters(84, 24);
  Index index = make(24, metric);
  ExactSearcher searcher(index, on("cpu"));
  const Matrix queries = clusters.draw(60);
  const auto follows = [&] {
    CHECK((searcher.search_batch(queries.view()) == by_index(index, queries)));
  };
  CHECK((searcher.search_batch(queries.view()) == Answers(60)));
  CHECK_FALSE(searcher.refresh());
  index.add(clusters.draw(2000).view(), ids_from(0, 2000));
  CHECK(searcher.refresh());
  CHECK_FALSE(searcher.refresh());
  follows();
  index.add(clusters.draw(500).view(), ids_from(1800, 500));  // some are replaced
  follows();
  index.remove(ids_from(0, 200));
  follows();
  Matrix longer = clusters.draw(50);
  for (float& value : longer.data) value *= 9.0F;  // everything is encoded anew
  index.add(longer.view(), ids_from(5000, 50));
  follows();
  index.remove(ids_from(300, 1700));  // repaired, and built anew
  follows();
  for (int round = 0; round < 20; ++round) {  // slots are used again
    index.add(clusters.draw(100).view(), ids_from(9000, 100));
    follows();
  }
}

TEST_CASE("a searcher beside changes") {
  Clusters clusters(85, 32);
  Index index = make(32, Metric::kInnerProduct);
  index.add(clusters.draw(3000).view(), ids_from(0, 3000));
  const Matrix queries = Clusters(86, 32, 1, 0.1F).draw(80);
  constexpr Id kMoving = 123456;
  const auto move = [&](std::size_t round) {  // always the nearest
    Matrix moved(1, 32);
    std::ranges::copy(queries.row(round % 8), moved.row(0).begin());
    for (float& value : moved.data) value *= 4.0F + 0.1F * static_cast<float>(round);
    index.add(moved.view(), std::vector<Id>{kMoving});
  };
  move(0);
  ExactSearcher searcher(index, on("cpu"));
  std::atomic<bool> stop{false};
  std::atomic<std::size_t> wrong{0};
  std::atomic<std::size_t> rounds{0};
  std::vector<std::thread> searchers;
  for (int thread = 0; thread < 2; ++thread) {
    searchers.emplace_back([&] {
      while (!stop) {
        for (const auto& found : searcher.search_batch(queries.view())) {
          std::vector<Id> ids;
          for (const Neighbor& neighbour : found) ids.push_back(neighbour.id);
          const bool first = ids.size() == 10 && ids[0] == kMoving;
          std::ranges::sort(ids);
          if (!first || std::ranges::adjacent_find(ids) != ids.end()) ++wrong;
        }
        ++rounds;
      }
    });
  }
  for (std::size_t round = 0; round < 60 || rounds < 6; ++round) {
    move(round);
    const std::vector<Id> replaced = ids_from(round * 97 % 2900, 60);
    index.remove(replaced);
    index.add(clusters.draw(60).view(), replaced);
  }
  stop = true;
  for (std::thread& thread : searchers) thread.join();
  CHECK(wrong == 0);
  CHECK((searcher.search_batch(queries.view()) == by_index(index, queries)));
}

TEST_CASE("what cannot be searched exactly is refused") {
  Clusters clusters(87, 8);
  Index index = make(8);
  index.add(clusters.draw(300).view(), ids_from(0, 300));
  const auto making = [&](ErrorCode code, const ExactSearcherOptions& options) {
    return error_message(code, [&] { ExactSearcher(index, options); });
  };
  CHECK_THAT(making(ErrorCode::kInvalidArgument, on("gpu")),
             Contains("device 'gpu' is none for exact search: give \"cuda\""));
  CHECK_THAT(making(ErrorCode::kInvalidArgument, on("meta")), Contains("device 'meta'"));
  CHECK_THAT(making(ErrorCode::kUnavailable, on("cuda:99")),
             Contains("device 'cuda:99' was asked for, but"));
  ExactSearcherOptions small = on("cpu");
  small.working_bytes = 1000;
  CHECK_THAT(making(ErrorCode::kInvalidArgument, small),
             Contains("working_bytes is 1000: give at least 1048576"));

  ExactSearcher searcher(index, on("cpu"));
  Matrix queries = clusters.draw(5);
  SearchOptions none;
  none.k = 0;
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] { searcher.search_batch(queries.view(), none); }),
             Contains("k is 0"));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] {
                             searcher.search_batch({queries.data.data(), 10, 4});
                           }),
             Contains("query 0 has 4 dimensions but the index has 8"));
  std::ranges::fill(queries.row(4), 0.0F);
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { searcher.search_batch(queries.view()); }),
      Contains("query 4 is all zeros"));
  CHECK(searcher.search_batch({}).empty());
}

namespace {

// Gives no large blocks.
struct FullDevice : c10::Allocator {
  explicit FullDevice(c10::Allocator* others_) : others(others_) {}
  c10::DataPtr allocate(std::size_t bytes) override {
    TORCH_CHECK_WITH(OutOfMemoryError, bytes < 100'000, "tried to allocate ", bytes, " bytes");
    return others->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return others->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  c10::Allocator* others;
};

}  // namespace

TEST_CASE("a device without memory is an error that says what to do, and passes") {
  Clusters clusters(88, 64);
  Index index = make(64);
  index.add(clusters.draw(1000).view(), ids_from(0, 1000));
  const Matrix queries = clusters.draw(5);
  ExactSearcher searcher(index, on("cpu"));
  index.add(clusters.draw(500).view(), ids_from(5000, 500));

  c10::Allocator* const usual = c10::GetCPUAllocator();
  FullDevice full(usual);
  c10::SetCPUAllocator(&full, 200);
  const std::string making =
      error_message(ErrorCode::kOutOfMemory, [&] { ExactSearcher(index, on("cpu")); });
  const std::string searching =
      error_message(ErrorCode::kOutOfMemory, [&] { searcher.search_batch(queries.view()); });
  c10::SetCPUAllocator(usual, 200);

  for (const std::string& message : {making, searching}) {
    CHECK_THAT(message, Contains("not enough memory on cpu for exact search among 1500 vectors of "
                                 "64 dimensions, which take 0 MiB there (tried to allocate"));
    CHECK_THAT(message, Contains("use a smaller ExactSearcherOptions::working_bytes"));
  }
  CHECK((searcher.search_batch(queries.view()) == by_index(index, queries)));
}

#include "vsearch/index_health.h"

#include <xxhash.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/index.h"

using vsearch::ErrorCode;
using vsearch::HealthOptions;
using vsearch::Id;
using vsearch::Index;
using vsearch::IndexHealth;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::Metric;
using vsearch::SearchOptions;
using vsearch_test::Clusters;
using vsearch_test::error_message;
using vsearch_test::ids_from;

namespace {

Index make(std::uint32_t dim, Metric metric = Metric::kCosine) {
  IndexOptions options;
  options.dim = dim;
  options.metric = metric;
  return Index(options);
}

// A snapshot of format 1 (docs/formats.md), in which the links can be chosen: `count` points on a
// circle, each linked to the four before and the four after it, but for `island`, to which no link
// leads.
class Ring {
 public:
  Ring(std::uint32_t count, std::uint32_t island) {
    constexpr std::uint32_t kLinks = 4;
    bytes_ = "VSEARCHI";
    for (const std::uint32_t field : {1U, 64U}) put(field);  // version, length of the header
    put(std::uint64_t{0});                                   // length of the file: set below
    for (const std::uint32_t field : {2U, 2U, kLinks, 200U}) put(field);  // dim, L2, links, breadth
    put(std::uint64_t{count});
    put(std::uint64_t{0});                    // lists above level 0
    for (std::uint32_t i : {0U, 0U}) put(i);  // entry, length of the stamp
    bytes_.append(count, '\1');               // all slots are live
    pad();
    bytes_.append(count, '\0');  // on level 0
    pad();
    for (std::uint64_t id = 0; id < count; ++id) put(id);
    for (std::uint32_t i = 0; i < count; ++i) {
      const double angle = 2 * 3.14159265358979 * i / count;
      put(static_cast<float>(100 * std::cos(angle)));
      put(static_cast<float>(100 * std::sin(angle)));
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      std::vector<std::uint32_t> list;
      for (const std::uint32_t step : {1U, 2U, 3U, 4U}) {
        for (const std::uint32_t to : {(i + step) % count, (i + count - step) % count}) {
          if (to != island) list.push_back(to);
        }
      }
      put(static_cast<std::uint32_t>(list.size()));
      list.resize(2 * kLinks);
      for (const std::uint32_t to : list) put(to);
    }
    pad();
    const std::uint64_t length = bytes_.size() + 8;
    std::memcpy(bytes_.data() + 16, &length, 8);
    put(std::uint64_t{XXH3_64bits(bytes_.data(), bytes_.size())});
  }

  Index load() const {
    const vsearch_test::TempDir folder;
    std::ofstream(folder / "ring", std::ios::binary) << bytes_;
    return Index::load(folder / "ring");
  }

 private:
  template <typename T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void pad() { bytes_.resize((bytes_.size() + 7) / 8 * 8); }

  std::string bytes_;
};

std::uint64_t sum(const std::vector<std::uint64_t>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), std::uint64_t{0});
}

}  // namespace

TEST_CASE("a new index is healthy") {
  const auto metric = GENERATE(Metric::kCosine, Metric::kL2);
  Clusters clusters(71, 32);
  Index index = make(32, metric);
  index.add(clusters.draw(6000).view(), ids_from(10, 6000));
  const IndexHealth health = index.check_health();
  CHECK(health.size == 6000);
  CHECK(health.removed_share == 0);
  CHECK(health.unreachable == 0);
  CHECK(health.duplicates == 0);
  CHECK(health.sampled == 200);
  CHECK(health.lost == 0);
  CHECK(health.self_recall > 0.97);
  CHECK(health.distances_per_query > 64);
  CHECK(health.distances_per_query < 3000);
  REQUIRE(health.degrees.size() == 33);
  CHECK(sum(health.degrees) == 6000);
  CHECK(health.least_degree >= 1);
  CHECK(health.degrees[health.least_degree] > 0);
  CHECK(health.degrees[health.most_degree] > 0);
  CHECK(health.mean_degree > health.least_degree);
  CHECK(health.mean_degree < health.most_degree);
}

TEST_CASE("what a check measures is what searches find") {
  Clusters clusters(72, 48, 1);  // one cluster: hard
  Index index = make(48);
  index.add(clusters.draw(3000).view(), ids_from(0, 3000));
  HealthOptions options;
  options.sample = 3000;  // every vector
  options.k = 5;
  options.breadth = 12;
  const IndexHealth health = index.check_health(options);
  CHECK(health.sampled == 3000);

  std::size_t found = 0;
  std::size_t lost = 0;
  std::uint64_t distances = 0;
  for (const Id id : index.ids()) {
    vsearch::SearchReport report;
    SearchOptions search;
    search.k = 6;
    search.breadth = 12;
    search.report = &report;
    const auto hits = index.search(index.vector(id), search);
    distances += report.distances;
    search.exact = true;
    const auto truth = index.search(index.vector(id), search);
    const auto is_hit = [&](const auto& one) {
      return std::any_of(hits.begin(), hits.end(),
                         [&](const auto& hit) { return hit.id == one.id; });
    };
    for (const auto& one : truth) found += one.id != id && is_hit(one) ? 1 : 0;
    lost += is_hit(vsearch::Neighbor{id}) ? 0 : 1;
  }
  CHECK(health.self_recall < 0.99);
  CHECK(health.self_recall == Approx(static_cast<double>(found) / (5 * 3000)).margin(1e-3));
  CHECK(health.lost == lost);
  CHECK(health.distances_per_query == Approx(static_cast<double>(distances) / 3000).epsilon(1e-3));
}

TEST_CASE("a vector that nothing leads to is counted and lost") {
  const Index index = Ring(3000, 7).load();
  HealthOptions options;
  options.sample = 3000;
  const IndexHealth health = index.check_health(options);
  CHECK(health.unreachable == 1);
  CHECK(health.lost == 1);
  CHECK(health.degrees == std::vector<std::uint64_t>{0, 0, 0, 0, 0, 0, 0, 8, 2992});
  CHECK(health.least_degree == 7);
  CHECK(health.most_degree == 8);
  CHECK(health.mean_degree == Approx((8 * 7 + 2992 * 8) / 3000.0));
  // Ten others have it among their ten nearest. Its own neighbours are found.
  CHECK(health.self_recall == Approx(1 - 10 / 30000.0));
}

TEST_CASE("samples differ by their seed only") {
  Clusters clusters(73, 24, 1);
  Index index = make(24);
  index.add(clusters.draw(4000).view(), ids_from(0, 4000));
  HealthOptions options;
  options.sample = 50;
  options.breadth = 10;
  const auto distances = [&](std::uint64_t seed) {
    options.seed = seed;
    return index.check_health(options).distances_per_query;
  };
  CHECK(distances(1) == distances(1));
  CHECK(distances(1) != distances(2));
}

TEST_CASE("mean, spread, duplicates and removed vectors are counted") {
  Index index = make(2, Metric::kL2);
  const std::vector<float> rows{1, 1, 3, 1, 1, 1, 0.0F, 5, -0.0F, 5, 1, 1};
  index.add({rows.data(), 6, 2}, ids_from(0, 6));
  IndexHealth health = index.check_health();
  CHECK(health.duplicates == 3);
  REQUIRE(health.mean.size() == 2);
  CHECK(health.mean[0] == Approx(1).margin(1e-3));
  CHECK(health.mean[1] == Approx(14.0 / 6).margin(1e-3));
  // The squared distances of the rows from the mean sum up to 6 + (94 - 14 * 14 / 6).
  CHECK(health.spread == Approx(std::sqrt((6 + 54 - 14.0 * 14 / 6) / 6)).margin(1e-3));
  CHECK(health.lost == 0);
  CHECK(health.self_recall == 1);

  index.add(Clusters(70, 2).draw(94).view(), ids_from(6, 94));
  index.remove(std::vector<Id>{0, 3});
  health = index.check_health();
  CHECK(health.size == 98);
  CHECK(health.duplicates == 1);
  CHECK(health.removed_share == Approx(0.02));
}

TEST_CASE("drift is measured in spreads") {
  Clusters clusters(74, 16);
  Index index = make(16, Metric::kL2);
  Matrix rows = clusters.draw(2000);
  index.add(rows.view(), ids_from(0, 2000));
  const IndexHealth before = index.check_health({.sample = 0});
  CHECK(drift(before, before) == 0);
  index.add(clusters.draw(2000).view(), ids_from(0, 2000));  // of the same kind
  const IndexHealth same = index.check_health({.sample = 0});
  CHECK(drift(before, same) > 0);
  CHECK(drift(before, same) < 0.1);
  for (float& value : rows.data) value += 1.0F;
  index.add(rows.view(), ids_from(0, 2000));
  const IndexHealth shifted = index.check_health({.sample = 0});
  CHECK(drift(before, shifted) == Approx(4 / before.spread).epsilon(1e-2));
  const IndexHealth other = make(15).check_health();
  CHECK(error_message(ErrorCode::kInvalidArgument, [&] { drift(before, other); }) ==
        "the checks are of indexes with 16 and 15 dimensions: compare two of one index");
}

TEST_CASE("an index can be checked when it is empty, small, or without a sample") {
  Index index = make(8);
  IndexHealth health = index.check_health();
  CHECK(health.size == 0);
  CHECK(health.self_recall == 1);
  CHECK(health.mean == std::vector<float>(8));
  index.add(Clusters(75, 8).draw(3).view(), ids_from(0, 3));
  health = index.check_health({.k = std::numeric_limits<std::uint32_t>::max()});
  CHECK(health.size == 3);
  CHECK(health.sampled == 3);
  CHECK(health.self_recall == 1);
  CHECK(health.lost == 0);
  health = index.check_health({.sample = 0});
  CHECK(health.sampled == 0);
  CHECK(health.distances_per_query == 0);
  index.remove(ids_from(0, 3));
  CHECK(index.check_health().size == 0);
  CHECK(error_message(ErrorCode::kInvalidArgument, [&] { index.check_health({.k = 0}); }) ==
        "k is 0: ask for at least one neighbour");
}

TEST_CASE("a check reports progress and can be cancelled") {
  Index index = make(8);
  index.add(Clusters(76, 8).draw(3000).view(), ids_from(0, 3000));
  std::vector<std::uint64_t> seen;
  std::uint64_t last_total = 0;
  index.check_health({}, [&](std::uint64_t done, std::uint64_t total) {
    seen.push_back(done);
    last_total = total;
    return index.contains(3);  // it holds no lock meanwhile
  });
  CHECK(seen.size() > 10);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  CHECK(seen.front() == 0);
  CHECK(seen.back() == last_total);
  for (const std::size_t calls : {std::size_t{0}, seen.size() / 2, seen.size() - 2}) {
    std::size_t left = calls;
    error_message(ErrorCode::kCancelled, [&] {
      index.check_health({}, [&](std::uint64_t, std::uint64_t) { return left-- > 0; });
    });
  }
}

TEST_CASE("statistics tell the memory of every part") {
  Clusters clusters(77, 64);
  Index index = make(64);
  index.add(clusters.draw(2000).view(), ids_from(0, 2000));
  const vsearch::IndexStats full = index.stats();
  CHECK(full.vector_bytes >= 2000 * 128);
  CHECK(full.vector_bytes < 2000 * 140);
  CHECK(full.link_bytes >= 2000 * 128);
  CHECK(full.table_bytes >= 2000 * 12);
  CHECK(full.free_bytes == 0);
  CHECK(full.walked_bytes >= 2000 * (64 + 128));
  CHECK(full.walked_bytes < full.link_bytes + full.vector_bytes - 2000 * 60);
  index.remove(ids_from(0, 200));
  const vsearch::IndexStats rest = index.stats();
  CHECK(rest.free_bytes > 200 * 256);
  CHECK(rest.free_bytes < full.memory_bytes / 5);
  CHECK(rest.memory_bytes == full.memory_bytes);
  CHECK(rest.memory_bytes ==
        rest.vector_bytes + rest.link_bytes + rest.table_bytes + rest.free_bytes);
}

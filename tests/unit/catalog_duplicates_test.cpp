// Catalog::near_duplicates.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::DuplicateGroup;
using vsearch::DuplicateOptions;
using vsearch::ErrorCode;

namespace {

using Keys = std::vector<std::string>;

// `vector` with a little of another direction: at the cosine distance `distance` from it.
std::vector<float> beside(std::vector<float> vector, double distance, std::uint64_t seed) {
  const auto dot = [](const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
    return sum;
  };
  std::vector<float> other = random_vector(seed);
  const double share = dot(other, vector) / dot(vector, vector);
  for (std::size_t i = 0; i < other.size(); ++i) {
    other[i] -= static_cast<float>(share * vector[i]);
  }
  const double cosine = 1 - distance;
  const double factor =
      std::sqrt(1 - cosine * cosine) / cosine * std::sqrt(dot(vector, vector) / dot(other, other));
  for (std::size_t i = 0; i < other.size(); ++i) {
    vector[i] += static_cast<float>(factor * other[i]);
  }
  return vector;
}

void add(Catalog& catalog, const std::string& key, const std::vector<std::vector<float>>& vectors) {
  vsearch::Item item;
  item.key = key;
  for (const std::vector<float>& vector : vectors) {
    item.pictures.emplace_back().embedding = vector;
  }
  REQUIRE(catalog.add({&item, 1}).failures.empty());
}

}  // namespace

TEST_CASE("items that look the same are grouped by any of their pictures") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 300);
  const std::vector<float> a = random_vector(1000);
  const std::vector<float> b = random_vector(1001);
  add(catalog, "z first", {a});
  add(catalog, "y chain", {beside(a, 0.015, 1), b});
  add(catalog, "x end", {random_vector(1002), beside(b, 0.01, 2)});
  add(catalog, "apart", {beside(a, 0.03, 3)});
  add(catalog, "own", {random_vector(1003), random_vector(1003)});  // two pictures of one item
  add(catalog, "pair", {random_vector(7)});                         // as the item "7"

  const std::vector<DuplicateGroup> groups = catalog.near_duplicates();
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].keys == Keys{"x end", "y chain", "z first"});
  CHECK(groups[0].first == "z first");
  CHECK(groups[0].max_distance == Approx(0.015).margin(0.001));
  CHECK_FALSE(groups[0].same_content);
  CHECK(groups[1].keys == Keys{"7", "pair"});
  CHECK(groups[1].first == "7");
  CHECK(std::abs(groups[1].max_distance) < 1e-4);

  DuplicateOptions wider;
  wider.max_distance = 0.035F;
  CHECK(catalog.near_duplicates(wider)[0].keys == Keys{"apart", "x end", "y chain", "z first"});
  DuplicateOptions narrower;
  narrower.max_distance = 0.005F;
  CHECK(catalog.near_duplicates(narrower).size() == 1);

  const std::vector<std::string> gone{"y chain", "7"};
  catalog.remove(gone);
  CHECK(catalog.near_duplicates().empty());
}

TEST_CASE("pictures of one content are duplicates whatever their distance") {
  TempDir dir;
  const auto half = [](std::uint32_t x, std::uint32_t) {
    return x < 16 ? Rgb{255, 0, 0} : Rgb{0, 0, 255};
  };
  write_file(dir / "a.bmp", bmp(32, 32, half));
  write_file(dir / "b.bmp", bmp(32, 32, half));
  write_file(dir / "green.bmp", plain_bmp({0, 255, 0}));
  Catalog catalog = create_catalog(dir / "shop");
  vsearch::Item left = file_item("left", dir / "a.bmp");
  left.pictures[0].crop = {0, 0, 0.5F, 1};
  vsearch::Item left_2 = file_item("left 2", dir / "b.bmp");
  left_2.pictures[0].crop = {0, 0, 0.5F, 1};
  vsearch::Item right = file_item("right", dir / "a.bmp");
  right.pictures[0].crop = {0.5F, 0, 1, 1};
  const std::vector<vsearch::Item> items{left, left_2, right, file_item("g", dir / "green.bmp")};
  REQUIRE(catalog.add(items).failures.empty());

  DuplicateOptions none_near;
  none_near.max_distance = -1;
  const auto groups = catalog.near_duplicates(none_near);
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].keys == Keys{"left", "left 2"});  // not "right": another part of it
  CHECK(groups[0].max_distance == 0);
  CHECK(groups[0].same_content);

  // A third that looks the same is another file.
  write_file(dir / "c.bmp", bmp(33, 32, half));
  vsearch::Item left_3 = file_item("left 3", dir / "c.bmp");
  left_3.pictures[0].crop = {0, 0, 0.48F, 1};
  REQUIRE(catalog.add({&left_3, 1}).failures.empty());
  const auto near = catalog.near_duplicates();
  REQUIRE(near.size() == 1);
  CHECK(near[0].keys == Keys{"left", "left 2", "left 3"});
  CHECK_FALSE(near[0].same_content);
}

TEST_CASE("many items of one picture are one group, and groups come in one order") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 100);
  const std::vector<float> vector = random_vector(5000);
  for (int i = 0; i < 200; ++i) add(catalog, "same " + std::to_string(i), {vector});
  for (int i = 0; i < 20; ++i) {
    const auto pair = random_vector(6000 + static_cast<std::uint64_t>(i));
    add(catalog, "pair a " + std::to_string(i), {pair});
    add(catalog, "pair b " + std::to_string(i), {beside(pair, 0.01, 9)});
  }
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  const auto groups = catalog.near_duplicates({}, [&](std::uint64_t now, std::uint64_t of) {
    done = now;
    total = of;
    return catalog.get("7").has_value();
  });
  CHECK(done == 340);
  CHECK(total == 340);
  REQUIRE(groups.size() == 21);
  CHECK(groups[0].keys.size() == 200);
  CHECK(groups[0].first == "same 0");
  CHECK(std::ranges::is_sorted(groups.begin() + 1, groups.end(), {}, &DuplicateGroup::keys));
  const auto again = catalog.near_duplicates();
  CHECK(std::ranges::equal(groups, again, {}, &DuplicateGroup::keys, &DuplicateGroup::keys));
}

TEST_CASE("the search for duplicates refuses nonsense and can be cancelled") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  CHECK(catalog.near_duplicates().empty());
  fill(catalog, 0, 10);
  DuplicateOptions options;
  options.neighbours = 0;
  CHECK_ERROR(catalog.near_duplicates(options), ErrorCode::kInvalidArgument, "1 to 10000");
  options.neighbours = 4'000'000'000;
  CHECK_ERROR(catalog.near_duplicates(options), ErrorCode::kInvalidArgument, "1 to 10000");
  options = {};
  options.max_distance = std::numeric_limits<float>::quiet_NaN();
  CHECK_ERROR(catalog.near_duplicates(options), ErrorCode::kInvalidArgument, "max_distance");
  for (const std::uint64_t stop : {0, 1}) {
    std::uint64_t left = stop;
    CHECK_ERROR(
        catalog.near_duplicates({}, [&](std::uint64_t, std::uint64_t) { return left-- > 0; }),
        ErrorCode::kCancelled, "cancelled");
  }
}

#include "vsearch/searcher.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::ErrorCode;
using vsearch::Filter;
using vsearch::Hit;
using vsearch::Item;
using vsearch::Metric;
using vsearch::Query;
using vsearch::QueryOptions;
using vsearch::Searcher;

namespace {

QueryOptions top(std::uint32_t k) {
  QueryOptions options;
  options.k = k;
  return options;
}

std::vector<std::string> keys_of(const std::vector<Hit>& hits) {
  std::vector<std::string> keys;
  for (const Hit& hit : hits) keys.push_back(hit.key);
  return keys;
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

// Items with several pictures, and the answers by brute force.
struct Shop {
  std::map<std::string, std::vector<std::vector<float>>> items;

  void put_into(Catalog& catalog) const {
    std::vector<Item> all;
    for (const auto& [key, vectors] : items) {
      Item item;
      item.key = key;
      for (const auto& vector : vectors) item.pictures.push_back({key, {}, vector});
      all.push_back(item);
    }
    REQUIRE(catalog.add(all).added == items.size());
  }

  std::vector<std::pair<double, std::string>> ranking(
      const std::vector<std::vector<float>>& queries, const std::string& left_out) const {
    std::vector<std::pair<double, std::string>> result;
    for (const auto& [key, vectors] : items) {
      if (key == left_out) continue;
      double nearest = 2;
      for (const auto& query : queries) {
        for (const auto& vector : vectors) nearest = std::min(nearest, 1 - cosine(query, vector));
      }
      result.emplace_back(nearest, key);
    }
    std::ranges::sort(result);
    return result;
  }
};

}  // namespace

TEST_CASE("scores are in [0, 1] and fall with the distance") {
  CHECK(vsearch::score_from_distance(Metric::kCosine, 0.0F) == 1.0F);
  CHECK(vsearch::score_from_distance(Metric::kCosine, 0.5F) == 0.75F);
  CHECK(vsearch::score_from_distance(Metric::kCosine, 2.0F) == 0.0F);
  CHECK(vsearch::score_from_distance(Metric::kCosine, -1e-6F) == 1.0F);  // rounding
  CHECK(vsearch::score_from_distance(Metric::kL2, 0.0F) == 1.0F);
  CHECK(vsearch::score_from_distance(Metric::kL2, 3.0F) == 0.25F);
  CHECK(vsearch::score_from_distance(Metric::kInnerProduct, 1.0F) == 0.5F);  // <q, x> = 0
  CHECK(vsearch::score_from_distance(Metric::kInnerProduct, -1e30F) == 1.0F);
  CHECK(vsearch::score_from_distance(Metric::kInnerProduct, 1e30F) == 0.0F);
}

TEST_CASE("a picture finds the item it shows") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  Searcher searcher(catalog);
  const vsearch::Image red = vsearch::decode_image(plain_bmp({250, 10, 10}));
  CHECK(searcher.search(Query::image(red.view())).empty());  // nothing there yet

  std::vector<Item> items;
  const std::map<std::string, Rgb> colours{
      {"red", {255, 0, 0}}, {"pink", {255, 130, 130}}, {"blue", {0, 0, 255}}};
  for (const auto& [name, colour] : colours) {
    write_file(dir / name, plain_bmp(colour));
    items.push_back({name, {{(dir / name).string(), {}, {}}}, R"({"name":")" + name + "\"}"});
  }
  REQUIRE(catalog.add(items).added == 3);
  const auto hits = searcher.search(Query::image(red.view()));
  CHECK(keys_of(hits) == std::vector<std::string>{"red", "pink", "blue"});  // fewer than k is fine
  CHECK(hits[0].path == (dir / "red").string());
  CHECK(hits[0].metadata == R"({"name":"red"})");
  CHECK(hits[0].distance < 0.01F);
  CHECK(hits[0].score == Approx(1 - hits[0].distance / 2));
  CHECK(hits[2].score < hits[1].score);
}

TEST_CASE("a bad query is refused") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  add_embedded(catalog, "a", 1);
  Searcher searcher(catalog);
  const std::vector<float> right = random_vector(1);
  const std::vector<float> wrong(7, 1.0F);
  CHECK_ERROR(searcher.search(Query::vector(right), top(0)), ErrorCode::kInvalidArgument,
              "k is 0; ask for at least 1");
  CHECK_ERROR(searcher.search(Query::vector(wrong)), ErrorCode::kInvalidArgument, "7");
  CHECK_ERROR(searcher.search(Query::like("b")), ErrorCode::kKeyNotFound, "no item with the key b");
  CHECK_ERROR(searcher.search(Query::image({})), ErrorCode::kInvalidArgument, "empty picture");
  CHECK(searcher.search(Query::like("a")).empty());  // alone
  CHECK(searcher.search(Query::vector(right), top(4'000'000'000U)).size() == 1);
}

// Embeddings are kept in fixed point: what lies nearly as near may change places.
template <typename Ranking>
void check_key(const std::string& key, const Ranking& expected, std::size_t place) {
  const auto same = std::find_if(expected.begin(), expected.end(),
                                 [&](const auto& item) { return item.second == key; });
  REQUIRE(same != expected.end());
  CHECK(same->first == Approx(expected[place].first).margin(1e-4));
}

TEST_CASE("items come once each, by their nearest picture, and like leaves the item out") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  Shop shop;
  std::mt19937 random(3);
  for (std::uint64_t i = 0; i < 60; ++i) {
    // Some items have one picture, some twenty that look much the same: those would fill a list of
    // the nearest pictures.
    auto& vectors = shop.items["item " + std::to_string(i)];
    const auto base = random_vector(i);
    const std::size_t n = i % 5 == 0 ? 20 : 1 + i % 3;
    for (std::size_t p = 0; p < n; ++p) {
      auto vector = random_vector(1000 * i + p);
      const float spread = i % 5 == 0 ? 0.02F : 1.0F;
      for (std::size_t d = 0; d < vector.size(); ++d) vector[d] = base[d] + spread * vector[d];
      vectors.push_back(vector);
    }
  }
  shop.put_into(catalog);
  Searcher searcher(catalog);
  for (const std::uint32_t k : {1U, 3U, 10U, 59U, 100U}) {
    for (std::uint64_t i = 0; i < 60; i += 3) {
      const std::string key = "item " + std::to_string(i);
      INFO(key << ", k " << k);
      QueryOptions options = top(k);
      options.exact = true;
      const auto expected = shop.ranking(shop.items[key], key);
      const auto hits = searcher.search(Query::like(key), options);
      REQUIRE(hits.size() == std::min<std::size_t>(k, 59));
      for (std::size_t h = 0; h < hits.size(); ++h) {
        CHECK(hits[h].distance == Approx(expected[h].first).margin(1e-4));
        check_key(hits[h].key, expected, h);
      }
      const auto query = random_vector(500 + i);
      const auto by_vector = searcher.search(Query::vector(query), options);
      const auto expected_by_vector = shop.ranking({query}, "");
      REQUIRE(by_vector.size() == std::min<std::size_t>(k, 60));
      for (std::size_t h = 0; h < by_vector.size(); ++h) {
        check_key(by_vector[h].key, expected_by_vector, h);
      }
    }
  }
}

TEST_CASE("a filter limits what is found, not how many") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  std::vector<std::vector<float>> vectors;
  std::vector<Item> items;
  for (std::uint64_t i = 0; i < 400; ++i) vectors.push_back(random_vector(i));
  for (std::uint64_t i = 0; i < 400; ++i) {
    items.push_back(
        embedded_item(std::to_string(i), vectors[i], "{\"n\":" + std::to_string(i) + "}"));
  }
  REQUIRE(catalog.add(items).added == 400);
  Searcher searcher(catalog);
  QueryOptions options = top(10);
  options.where = Filter::parse("n >= 390");
  const auto hits = searcher.search(Query::vector(vectors[0]), options);
  CHECK(hits.size() == 10);
  for (const Hit& hit : hits) CHECK(std::stoi(hit.key) >= 390);
  options.where = Filter::parse("n >= 395");
  CHECK(searcher.search(Query::vector(vectors[0]), options).size() == 5);
  CHECK(searcher.search(Query::like("397"), options).size() == 4);
  options.where = Filter::parse("n > 1000");
  CHECK(searcher.search(Query::vector(vectors[0]), options).empty());
}

TEST_CASE("approximate search finds what exact search finds") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  constexpr std::uint64_t kItems = 3000;
  std::vector<std::vector<float>> vectors;
  std::vector<Item> items;
  for (std::uint64_t i = 0; i < kItems; ++i) vectors.push_back(random_vector(i));
  for (std::uint64_t i = 0; i < kItems; ++i) {
    items.push_back(embedded_item(std::to_string(i), vectors[i]));
  }
  REQUIRE(catalog.add(items).added == kItems);
  Searcher searcher(catalog);
  std::size_t found = 0;
  constexpr std::uint64_t kQueries = 100;
  for (std::uint64_t q = 0; q < kQueries; ++q) {
    const auto query = random_vector(100'000 + q);
    QueryOptions options = top(10);
    options.breadth = 128;
    const auto approximate = keys_of(searcher.search(Query::vector(query), options));
    options.exact = true;
    const auto exact = keys_of(searcher.search(Query::vector(query), options));
    const std::set<std::string> truth(exact.begin(), exact.end());
    for (const auto& key : approximate) found += truth.count(key);
  }
  CHECK(static_cast<double>(found) / (10 * kQueries) >= 0.95);
}

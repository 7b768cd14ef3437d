// What tests of catalogues have in common.
#pragma once

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/fake_encoder.h"
#include "vsearch/catalog.h"
#include "vsearch/searcher.h"

namespace vsearch_test {

constexpr std::uint32_t kDim = FakeEncoder::kDim;

// Counts the pictures it is given.
class CountingEncoder : public FakeEncoder {
 public:
  using FakeEncoder::FakeEncoder;
  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    encoded += images.size();
    return FakeEncoder::encode(images, progress);
  }
  mutable std::atomic<std::uint64_t> encoded{0};
};

inline vsearch::CatalogCreateOptions create_options(std::shared_ptr<vsearch::Encoder> encoder) {
  vsearch::CatalogCreateOptions options;
  options.encoder = std::move(encoder);
  options.encoder_ref = "fake-grid";
  return options;
}

// Keeps what is logged.
class Log {
 public:
  vsearch::LogCallback callback() {
    return [this](vsearch::LogLevel level, std::string_view message) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(level, message);
    };
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    std::string all;
    for (const auto& [level, message] : lines_) {
      all += (level == vsearch::LogLevel::kInfo ? "info: " : "warning: ") + message + "\n";
    }
    return all;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<vsearch::LogLevel, std::string>> lines_;
};

inline vsearch::Catalog create_catalog(const std::filesystem::path& path) {
  vsearch::CatalogCreateOptions options;
  options.encoder = std::make_shared<FakeEncoder>();
  options.encoder_ref = "fake-grid";
  return vsearch::Catalog::create(path, options);
}

// A vector in a random direction, the same for the same `seed`.
inline std::vector<float> random_vector(std::uint64_t seed) {
  std::mt19937_64 random(seed * 0x9E3779B97F4A7C15ULL + 1);
  std::normal_distribution<float> normal;
  std::vector<float> result(kDim);
  std::generate(result.begin(), result.end(), [&] { return normal(random); });
  return result;
}

// One item that has one embedding. The embedding is borrowed.
inline vsearch::Item embedded_item(std::string key, std::span<const float> embedding,
                                   std::string metadata = "{}") {
  vsearch::Item item;
  item.key = std::move(key);
  item.pictures.emplace_back();
  item.pictures[0].embedding = embedding;
  item.metadata = std::move(metadata);
  return item;
}

// One item that has one picture, a file.
inline vsearch::Item file_item(const std::string& key, const std::filesystem::path& path,
                               std::string metadata = "{}") {
  vsearch::Item item;
  item.key = key;
  item.pictures.emplace_back();
  item.pictures[0].path = path.string();
  item.metadata = std::move(metadata);
  return item;
}

inline void add_embedded(vsearch::Catalog& catalog, const std::string& key, std::uint64_t seed,
                         std::string metadata = "{}") {
  const std::vector<float> embedding = random_vector(seed);
  const vsearch::Item item = embedded_item(key, embedding, std::move(metadata));
  const vsearch::AddReport report = catalog.add({&item, 1});
  if (!report.failures.empty()) throw std::runtime_error(report.failures[0].message);
}

inline vsearch::Catalog open_with_log(const std::filesystem::path& path, Log& log) {
  vsearch::CatalogOptions options;
  options.log = log.callback();
  return vsearch::Catalog::open(path, options);
}

// Adds the items [first, last): the number is the key and the seed of the embedding.
inline void fill(vsearch::Catalog& catalog, std::uint64_t first, std::uint64_t last) {
  std::vector<std::vector<float>> vectors;
  std::vector<vsearch::Item> items;
  for (std::uint64_t i = first; i < last; ++i) vectors.push_back(random_vector(i));
  for (std::uint64_t i = first; i < last; ++i) {
    items.push_back(embedded_item(std::to_string(i), vectors[i - first]));
  }
  REQUIRE(catalog.add(items).failures.empty());
}

// Exactly the items [0, n) are there, and each is found by its own embedding.
inline void check_items(const vsearch::Catalog& catalog, std::uint64_t n) {
  CHECK(catalog.info().items == n);
  CHECK(catalog.serving()->index().size() == n);
  vsearch::Searcher searcher(catalog);
  for (std::uint64_t i = 0; i < n; ++i) {
    const auto vector = random_vector(i);
    const auto hits = searcher.search(vsearch::Query::vector(vector));
    REQUIRE(!hits.empty());
    CHECK(hits[0].key == std::to_string(i));
    CHECK(hits[0].distance < 1e-4F);
  }
}

// The error that `call` throws; nothing if it throws none.
inline std::optional<vsearch::Error> error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const vsearch::Error& e) {
    return e;
  }
  return std::nullopt;
}

}  // namespace vsearch_test

// Checks that `expression` throws an Error with this code, whose message has this text.
#define CHECK_ERROR(expression, expected_code, expected_text)                      \
  do {                                                                             \
    const auto thrown_error = vsearch_test::error_of([&] { (void)(expression); }); \
    CHECK(thrown_error.has_value());                                               \
    if (thrown_error) {                                                            \
      CHECK(thrown_error->code() == (expected_code));                              \
      CHECK_THAT(thrown_error->what(), Catch::Contains(expected_text));            \
    }                                                                              \
  } while (false)

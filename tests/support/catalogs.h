// What tests of catalogues have in common.
#pragma once

#include <algorithm>
#include <atomic>
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

inline void add_embedded(vsearch::Catalog& catalog, const std::string& key, std::uint64_t seed,
                         std::string metadata = "{}") {
  const std::vector<float> embedding = random_vector(seed);
  const vsearch::Item item = embedded_item(key, embedding, std::move(metadata));
  const vsearch::AddReport report = catalog.add({&item, 1});
  if (!report.failures.empty()) throw std::runtime_error(report.failures[0].message);
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

// What the parts of catalog_bench have in common.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/fake_encoder.h"

namespace vsearch_bench {

inline constexpr std::uint32_t kDim = 384;
inline constexpr std::size_t kBatch = 1000;

// A row for bench.py.
inline void tell(nlohmann::ordered_json row) {
  std::puts(row.dump().c_str());
  std::fflush(stdout);
}

template <class Body>
double seconds(Body&& body) {
  const auto begin = std::chrono::steady_clock::now();
  std::forward<Body>(body)();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

template <class Body>
double median_seconds(int repeats, Body&& body) {
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) times.push_back(seconds(body));
  return median(std::move(times));
}

// Vectors with the shape of real embeddings: clusters of unequal size in some dozens of dimensions,
// turned into 384, and a little noise in all.
class Embeddings {
 public:
  Embeddings();
  std::vector<float> of(std::uint64_t item) const;

 private:
  std::vector<float> turn_;     // [kDim x latent]
  std::vector<float> centres_;  // [clusters x latent]
};

// About 130 bytes, as a shop would keep: the price is uniform over 0 to 99.99, so that a bound is a
// share.
std::string metadata_of(std::uint64_t item);

// FakeEncoder, but for the length of what it says it gives: all embeddings are given.
class WideEncoder : public vsearch_test::FakeEncoder {
 public:
  WideEncoder() : info_(FakeEncoder::info()) { info_.dim = vsearch_bench::kDim; }
  const vsearch::EncoderInfo& info() const override { return info_; }

 private:
  vsearch::EncoderInfo info_;
};

// Rows in transactions of 1,000 items, without index and encoder (store.cpp).
void measure_store(const std::filesystem::path& folder, std::uint64_t items);
// A folder of small files (files.cpp).
void measure_files(const std::filesystem::path& folder, std::uint64_t files);

}  // namespace vsearch_bench

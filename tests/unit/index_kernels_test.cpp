#include "index/kernels.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "support/vectors.h"

using vsearch::index::kernels;
using vsearch::index::Slot;

TEST_CASE("every kernel agrees with double precision for every length of tail") {
  vsearch_test::Random random(1);
  std::vector<std::size_t> dims{384, 768, 1280, 4096};
  for (std::size_t dim = 1; dim <= 70; ++dim) dims.push_back(dim);
  for (const std::size_t dim : dims) {
    std::vector<float> memory(2 * dim + 1);
    for (float& value : memory) value = random.normal();
    const float* a = memory.data() + 1;  // not aligned
    const float* b = a + dim;
    std::vector<std::uint8_t> bytes(2 * dim + 1);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.bits());
    const std::uint8_t* high = bytes.data() + 1;
    const std::uint8_t* low = high + dim;
    double dot = 0;
    double squared = 0;
    double magnitude = 0;
    double fixed_dot = 0;
    double fixed_squared = 0;
    double fixed_magnitude = 0;
    std::vector<float> units(dim);
    for (std::size_t i = 0; i < dim; ++i) {
      const double x = a[i];
      const double y = b[i];
      dot += x * y;
      squared += (x - y) * (x - y);
      magnitude += std::abs(x * y);
      const double number = 256.0 * high[i] + low[i];
      units[i] = static_cast<float>(std::abs(y) / 65536);
      fixed_dot += x * number;
      fixed_squared += (x - units[i] * number) * (x - units[i] * number);
      fixed_magnitude += std::abs(x * number);
    }
    for (const auto& kernel : kernels()) {
      INFO(kernel.name << " at " << dim);
      CHECK(std::abs(kernel.inner_product(a, b, dim) - dot) <= 1e-6 * (1 + magnitude));
      CHECK(std::abs(kernel.squared_l2(a, b, dim) - squared) <= 1e-6 * squared);
      CHECK(kernel.squared_l2(a, a, dim) == 0.0F);
      CHECK(std::abs(kernel.fixed_inner_product(high, low, a, dim) - fixed_dot) <=
            1e-6 * (1 + fixed_magnitude));
      CHECK(kernel.fixed_squared_l2(high, low, a, units.data(), dim) ==
            Approx(fixed_squared).epsilon(1e-5).margin(1e-6));
    }
  }
}

TEST_CASE("products of codes are the same in every kernel, extremes included") {
  vsearch_test::Random random(2);
  for (const std::size_t width : {64, 192, 384, 4096}) {
    constexpr std::size_t kSlots = 23;
    std::vector<std::uint8_t> codes(width * kSlots);
    for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random.bits());
    std::vector<std::int8_t> weights(width);
    for (std::int8_t& weight : weights) {
      weight = static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
    }
    std::fill_n(codes.begin(), 2 * width, std::uint8_t{255});
    if (random.below(2) == 0) std::fill(weights.begin(), weights.end(), std::int8_t{-127});
    for (std::size_t count = 0; count <= 9; ++count) {
      std::vector<Slot> slots{0, 1};
      while (slots.size() < count) slots.push_back(static_cast<Slot>(random.below(kSlots)));
      slots.resize(count);
      std::vector<std::int32_t> expected(count);
      for (std::size_t s = 0; s < count; ++s) {
        for (std::size_t i = 0; i < width; ++i) {
          expected[s] += codes[slots[s] * width + i] * weights[i];
        }
      }
      for (const auto& kernel : kernels()) {
        INFO(kernel.name << " at " << width << " for " << count);
        std::vector<std::int32_t> products(count);
        kernel.code_products(codes.data(), width, slots, weights.data(), products.data());
        CHECK(products == expected);
      }
    }
  }
}

TEST_CASE("every kernel makes the same of a query") {
  vsearch_test::Random random(3);
  for (const std::size_t dim : {1, 15, 16, 17, 100, 384}) {
    std::vector<float> vector(dim);
    std::vector<float> lowest(dim);
    std::vector<float> units(dim);
    std::vector<std::uint8_t> high(dim);
    std::vector<std::uint8_t> low(dim);
    for (std::size_t i = 0; i < dim; ++i) {
      vector[i] = random.normal();
      lowest[i] = random.normal();
      units[i] = std::abs(random.normal()) / 65535;
      high[i] = static_cast<std::uint8_t>(random.bits());
      low[i] = static_cast<std::uint8_t>(random.bits());
    }
    for (const auto& kernel : kernels()) {
      INFO(kernel.name << " at " << dim);
      std::vector<float> weights(dim);
      const auto sums =
          kernel.weigh(vector.data(), lowest.data(), units.data(), dim, weights.data());
      std::vector<std::int8_t> bytes(dim);
      kernel.quantise(weights.data(), 127.0F / sums.most, dim, bytes.data());
      std::vector<float> decoded(dim);
      kernel.decode(high.data(), low.data(), lowest.data(), units.data(), dim, decoded.data());
      double base = 0;
      double middle = 0;
      double squares = 0;
      float most = 0;
      for (std::size_t i = 0; i < dim; ++i) {
        base += static_cast<double>(vector[i]) * lowest[i];
        middle += static_cast<double>(vector[i]) * units[i];
        squares += static_cast<double>(vector[i]) * vector[i];
        most = std::max(most, std::abs(weights[i]));
        CHECK(weights[i] == vector[i] * units[i]);
        CHECK(std::abs(static_cast<float>(bytes[i]) - weights[i] * 127.0F / sums.most) < 0.501F);
        CHECK(
            decoded[i] ==
            Approx(lowest[i] + units[i] * static_cast<float>(256 * high[i] + low[i])).margin(1e-6));
      }
      CHECK(sums.base == Approx(base).margin(1e-4));
      CHECK(sums.middle == Approx(middle).margin(1e-8));
      CHECK(sums.squares == Approx(squares));
      CHECK(sums.most == most);
    }
  }
}

TEST_CASE("the portable kernel is always there, and last") {
  REQUIRE_FALSE(kernels().empty());
  CHECK(std::string(kernels().back().name) == "portable");
}

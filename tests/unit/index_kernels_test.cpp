#include "index/kernels.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "index/halves.h"
#include "support/vectors.h"

using vsearch::index::kernels;
using vsearch::index::Slot;

namespace {

// All lengths of tails, and what embeddings have.
std::vector<std::size_t> dims_to_test() {
  std::vector<std::size_t> dims{384, 768, 784, 1000, 1280, 4096};
  for (std::size_t dim = 1; dim <= 130; ++dim) dims.push_back(dim);
  return dims;
}

}  // namespace

TEST_CASE("every kernel agrees with double precision for every length of tail") {
  vsearch_test::Random random(1);
  for (const std::size_t dim : dims_to_test()) {
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
    std::vector<float> steps(dim);
    for (std::size_t i = 0; i < dim; ++i) {
      const double x = a[i];
      const double y = b[i];
      dot += x * y;
      squared += (x - y) * (x - y);
      magnitude += std::abs(x * y);
      units[i] = static_cast<float>(std::abs(y) / 65536);
      steps[i] = static_cast<float>(std::abs(y) / 300);
      fixed_dot += x * high[i] + y * low[i];
      const double difference = x - steps[i] * high[i] - units[i] * low[i];
      fixed_squared += difference * difference;
      fixed_magnitude += std::abs(x * high[i]) + std::abs(y * low[i]);
    }
    for (const auto& kernel : kernels()) {
      INFO(kernel.name << " at " << dim);
      CHECK(std::abs(kernel.inner_product(a, b, dim) - dot) <= 1e-6 * (1 + magnitude));
      CHECK(std::abs(kernel.squared_l2(a, b, dim) - squared) <= 1e-6 * squared);
      CHECK(kernel.squared_l2(a, a, dim) == 0.0F);
      CHECK(std::abs(kernel.fixed_inner_product(high, low, a, b, dim) - fixed_dot) <=
            1e-6 * (1 + fixed_magnitude));
      CHECK(kernel.fixed_squared_l2(high, low, a, steps.data(), units.data(), dim) ==
            Approx(fixed_squared).epsilon(1e-5).margin(1e-6));
    }
  }
}

TEST_CASE("float16 and bfloat16 round to the nearest, ties to even") {
  using vsearch::index::from_bfloat;
  using vsearch::index::from_half;
  using vsearch::index::to_bfloat;
  using vsearch::index::to_half;
  const float largest = 65504;
  for (int bits = 0; bits < 65536; ++bits) {
    const auto number = static_cast<std::uint16_t>(bits);
    const std::uint16_t magnitude = number & 0x7FFF;
    if (magnitude < 0x7C00) REQUIRE(to_half(from_half(number)) == number);
    if (magnitude < 0x7F80) REQUIRE(to_bfloat(from_bfloat(number)) == number);
    if (magnitude >= 0x7BFF) continue;
    // Between two neighbours: nearer to one, nearer to the other, and in the middle.
    const auto next = static_cast<std::uint16_t>(number + 1);
    const float middle = (from_half(number) + from_half(next)) / 2;
    REQUIRE(to_half(middle) == (number % 2 == 0 ? number : next));
    REQUIRE(to_half(std::nextafter(middle, 0.0F)) == number);
    REQUIRE(to_half(std::nextafter(middle, 2 * middle)) == next);
    const float between = (from_bfloat(number) + from_bfloat(next)) / 2;
    REQUIRE(to_bfloat(between) == (number % 2 == 0 ? number : next));
  }
  CHECK(from_half(0x3C00) == 1.0F);
  CHECK(from_half(0x0001) == std::ldexp(1.0F, -24));
  CHECK(from_half(0xFBFF) == -largest);
  CHECK(to_half(std::nextafter(vsearch::index::kHalfOverflow, 0.0F)) == 0x7BFF);
  CHECK(from_bfloat(0x3F80) == 1.0F);
  CHECK(to_bfloat(-1e18F) == 0xDD5E);
}

TEST_CASE("every kernel reads float16 and bfloat16 alike") {
  vsearch_test::Random random(4);
  for (const std::size_t dim : dims_to_test()) {
    std::vector<float> query(dim + 1);
    std::vector<std::uint16_t> halves(dim + 1);
    std::vector<std::uint16_t> bfloats(dim + 1);
    for (std::size_t i = 0; i <= dim; ++i) {
      query[i] = random.normal();
      // Some below 2^-14, where float16 has fewer digits.
      const float value = random.normal() * (random.below(3) == 0 ? 1e-5F : 1.0F);
      halves[i] = vsearch::index::to_half(value);
      bfloats[i] = vsearch::index::to_bfloat(value);
    }
    const float* const a = query.data() + 1;  // not aligned
    double sums[4] = {};
    double magnitude = 0;
    for (std::size_t i = 0; i < dim; ++i) {
      const double half = vsearch::index::from_half(halves[i + 1]);
      const double bfloat = vsearch::index::from_bfloat(bfloats[i + 1]);
      sums[0] += a[i] * half;
      sums[1] += (a[i] - half) * (a[i] - half);
      sums[2] += a[i] * bfloat;
      sums[3] += (a[i] - bfloat) * (a[i] - bfloat);
      magnitude += std::abs(a[i] * half);
    }
    for (const auto& kernel : kernels()) {
      INFO(kernel.name << " at " << dim);
      const std::uint16_t* const half = halves.data() + 1;
      const std::uint16_t* const bfloat = bfloats.data() + 1;
      CHECK(std::abs(kernel.half_inner_product(a, half, dim) - sums[0]) <= 1e-6 * (1 + magnitude));
      CHECK(kernel.half_squared_l2(a, half, dim) == Approx(sums[1]).epsilon(1e-6));
      CHECK(std::abs(kernel.bfloat_inner_product(a, bfloat, dim) - sums[2]) <=
            1e-6 * (1 + magnitude));
      CHECK(kernel.bfloat_squared_l2(a, bfloat, dim) == Approx(sums[3]).epsilon(1e-6));
    }
  }
}

TEST_CASE("products of codes are the same in every kernel, extremes included") {
  using vsearch::index::kCodeBlock;
  using vsearch::index::kPackedBlock;
  vsearch_test::Random random(2);
  for (const std::size_t width : {64, 128, 192, 384, 832, 1024, 4096}) {
    constexpr std::size_t kSlots = 23;
    const std::size_t stride = width + 36;  // other things lie between codes
    std::vector<std::uint8_t> codes(stride * kSlots);
    for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random.bits());
    std::vector<std::int8_t> weights(width);
    for (std::int8_t& weight : weights) {
      weight = static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
    }
    std::fill_n(codes.begin(), 2 * stride, std::uint8_t{255});
    std::fill_n(codes.begin() + static_cast<std::ptrdiff_t>(2 * stride), stride, std::uint8_t{0});
    const std::size_t extreme = random.below(3);
    if (extreme < 2)
      std::fill(weights.begin(), weights.end(), std::int8_t(extreme == 0 ? 127 : -127));
    for (std::size_t count = 0; count <= 9; ++count) {
      std::vector<Slot> slots{0, 1, 2};
      while (slots.size() < count) slots.push_back(static_cast<Slot>(random.below(kSlots)));
      slots.resize(count);
      std::vector<std::int32_t> expected(count);
      std::vector<std::int32_t> expected_packed(count);
      for (std::size_t s = 0; s < count; ++s) {
        const std::uint8_t* const code = codes.data() + slots[s] * stride;
        for (std::size_t i = 0; i < width; ++i) {
          expected[s] += code[i] * weights[i];
          const std::size_t number = i % kCodeBlock;
          const int packed = code[i / kCodeBlock * kPackedBlock + number % kPackedBlock];
          expected_packed[s] += ((packed >> (2 * (number / kPackedBlock))) & 3) * weights[i];
        }
      }
      for (const auto& kernel : kernels()) {
        INFO(kernel.name << " at " << width << " for " << count);
        std::vector<std::int32_t> products(count);
        kernel.code_products(codes.data(), stride, width, slots, weights.data(), products.data());
        CHECK(products == expected);
        kernel.packed_products(codes.data(), stride, width, slots, weights.data(), products.data());
        CHECK(products == expected_packed);
      }
    }
  }
}

TEST_CASE("every kernel finds the same ranges of bytes, and the same butterflies") {
  vsearch_test::Random random(5);
  for (const std::size_t dim : dims_to_test()) {
    std::vector<std::uint8_t> bytes(3 * dim);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.bits());
    std::vector<float> values(2 * dim);
    for (float& value : values) value = random.normal();
    for (const auto& kernel : kernels()) {
      INFO(kernel.name << " at " << dim);
      std::vector<std::uint8_t> least(bytes.begin(),
                                      bytes.begin() + static_cast<std::ptrdiff_t>(dim));
      std::vector<std::uint8_t> most = least;
      kernel.widen(bytes.data() + dim, dim, least.data(), most.data());
      kernel.widen(bytes.data() + 2 * dim, dim, least.data(), most.data());
      std::vector<float> crossed(2 * dim);
      kernel.butterflies(values.data(), dim, crossed.data());
      for (std::size_t i = 0; i < dim; ++i) {
        const auto [low, high] = std::minmax({bytes[i], bytes[dim + i], bytes[2 * dim + i]});
        CHECK(least[i] == low);
        CHECK(most[i] == high);
        CHECK(crossed[2 * i] == values[i] + values[dim + i]);
        CHECK(crossed[2 * i + 1] == values[i] - values[dim + i]);
      }
    }
  }
}

TEST_CASE("every kernel makes the same of a query") {
  vsearch_test::Random random(3);
  for (const std::size_t dim : {1, 15, 16, 17, 100, 384}) {
    std::vector<float> vector(dim);
    std::vector<float> lowest(dim);
    std::vector<float> steps(dim);
    std::vector<float> units(dim);
    std::vector<std::uint8_t> high(dim);
    std::vector<std::uint8_t> low(dim);
    for (std::size_t i = 0; i < dim; ++i) {
      vector[i] = random.normal();
      lowest[i] = random.normal();
      steps[i] = std::abs(random.normal()) / 256;
      units[i] = std::abs(random.normal()) / 65535;
      high[i] = static_cast<std::uint8_t>(random.bits());
      low[i] = static_cast<std::uint8_t>(random.bits());
    }
    for (const auto& kernel : kernels()) {
      INFO(kernel.name << " at " << dim);
      std::vector<float> weights(dim);
      const auto sums =
          kernel.weigh(vector.data(), lowest.data(), steps.data(), dim, weights.data());
      std::vector<std::int8_t> bytes(dim);
      kernel.quantise(weights.data(), 127.0F / sums.most, dim, bytes.data());
      std::vector<float> decoded(dim);
      kernel.decode(high.data(), low.data(), lowest.data(), steps.data(), units.data(), dim,
                    decoded.data());
      double base = 0;
      double middle = 0;
      double squares = 0;
      float most = 0;
      for (std::size_t i = 0; i < dim; ++i) {
        base += static_cast<double>(vector[i]) * lowest[i];
        middle += static_cast<double>(vector[i]) * steps[i];
        squares += static_cast<double>(vector[i]) * vector[i];
        most = std::max(most, std::abs(weights[i]));
        CHECK(weights[i] == vector[i] * steps[i]);
        CHECK(std::abs(static_cast<float>(bytes[i]) - weights[i] * 127.0F / sums.most) < 0.501F);
        CHECK(decoded[i] == Approx(lowest[i] + steps[i] * static_cast<float>(high[i]) +
                                   units[i] * static_cast<float>(low[i]))
                                .margin(1e-6));
      }
      CHECK(sums.base == Approx(base).margin(1e-4));
      CHECK(sums.middle == Approx(middle).margin(1e-6));
      CHECK(sums.squares == Approx(squares));
      CHECK(sums.most == most);
    }
  }
}

TEST_CASE("the portable kernel is always there, and last") {
  REQUIRE_FALSE(kernels().empty());
  CHECK(std::string(kernels().back().name) == "portable");
}

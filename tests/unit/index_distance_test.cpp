#include "index/distance.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "support/vectors.h"

using vsearch::index::distance_kernels;

TEST_CASE("every kernel agrees with double precision for every length of tail") {
  vsearch_test::Random random(1);
  std::vector<std::size_t> dims{384, 768, 1280, 4096};
  for (std::size_t dim = 1; dim <= 70; ++dim) dims.push_back(dim);
  for (const std::size_t dim : dims) {
    std::vector<float> memory(2 * dim + 1);
    for (float& value : memory) value = random.normal();
    const float* a = memory.data() + 1;  // not aligned
    const float* b = a + dim;
    double dot = 0;
    double squared = 0;
    double magnitude = 0;
    for (std::size_t i = 0; i < dim; ++i) {
      const double x = a[i];
      const double y = b[i];
      dot += x * y;
      squared += (x - y) * (x - y);
      magnitude += std::abs(x * y);
    }
    for (const auto& kernel : distance_kernels()) {
      INFO(kernel.name << " at " << dim);
      CHECK(std::abs(kernel.inner_product(a, b, &dim) - (1 - dot)) <= 1e-6 * (1 + magnitude));
      CHECK(std::abs(kernel.squared_l2(a, b, &dim) - squared) <= 1e-6 * squared);
      CHECK(kernel.squared_l2(a, a, &dim) == 0.0F);
    }
  }
}

TEST_CASE("the portable kernel is always there, and last") {
  REQUIRE_FALSE(distance_kernels().empty());
  CHECK(std::string(distance_kernels().back().name) == "portable");
}

// Random numbers that are the same on every machine: the standard's distributions are not.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>

namespace vsearch::eval {

// The output function of splitmix64.
constexpr std::uint64_t mixed(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
  return bits ^ (bits >> 31);
}

// splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
class Seeded {
 public:
  explicit Seeded(std::uint64_t seed) : state_(seed) {}

  static constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15U;
  std::uint64_t bits() { return mixed(state_ += kStep); }
  // Below `n`, which is at least 1.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits() % n); }
  // In (0, 1].
  double share() { return (static_cast<double>(bits() >> 11) + 1.0) * 0x1p-53; }
  // Standard normal (Box and Muller).
  float normal() {
    const double radius = std::sqrt(-2.0 * std::log(share()));
    return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * share()));
  }
  template <typename T>
  void shuffle(std::span<T> values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  std::uint64_t state_;
};

}  // namespace vsearch::eval

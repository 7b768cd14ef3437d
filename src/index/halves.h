// Numbers of 16 bits: IEEE 754's binary16 (float16), and bfloat16, the upper half of a float.
#pragma once

#include <bit>
#include <cstdint>

namespace vsearch::index {

// What rounds to infinity in float16 is this or larger; 65,504 is its largest number.
constexpr float kHalfOverflow = 65520.0F;

// To the nearest, ties to even. |value| < kHalfOverflow. Numbers below 2^-14 lose digits, and what
// is at most 2^-25 becomes 0.
constexpr std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude < 0x38800000U) {  // below 2^-14
    // The sum's last digit is worth 2^-24, as that of such a float16 is.
    const float sum = std::bit_cast<float>(magnitude) + 0.5F;
    half = std::bit_cast<std::uint32_t>(sum) - std::bit_cast<std::uint32_t>(0.5F);
  } else {
    const std::uint32_t even = (magnitude >> 13) & 1U;
    half = (magnitude - (112U << 23) + 0xFFFU + even) >> 13;  // 112: of 127 and 15, the difference
  }
  return static_cast<std::uint16_t>(sign | half);
}

// Of what to_half() gives: neither infinity nor NaN.
constexpr float from_half(std::uint16_t half) {
  constexpr float kScale = 0x1p112F;
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const float magnitude = std::bit_cast<float>((half & 0x7FFFU) << 13) * kScale;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
}

// To the nearest, ties to even. Below half of the largest float.
constexpr std::uint16_t to_bfloat(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

constexpr float from_bfloat(std::uint16_t bfloat) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bfloat) << 16);
}

}  // namespace vsearch::index

#include "eval/lab.h"

#include <algorithm>
#include <cmath>

namespace vsearch::eval {
namespace {

constexpr std::array<float, 3> kWhite{0.95047F, 1.0F, 1.08883F};  // D65
constexpr float kBend = 6.0F / 29.0F;  // where the cube root gives way to a line

const std::array<float, 256>& linear_light() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> result{};
    for (std::size_t i = 0; i < result.size(); ++i) {
      const float value = static_cast<float>(i) / 255.0F;
      result[i] = value <= 0.04045F ? value / 12.92F : std::pow((value + 0.055F) / 1.055F, 2.4F);
    }
    return result;
  }();
  return table;
}

float compressed(float t) {
  return t > kBend * kBend * kBend ? std::cbrt(t) : t / (3.0F * kBend * kBend) + 4.0F / 29.0F;
}

float expanded(float t) {
  return t > kBend ? t * t * t : 3.0F * kBend * kBend * (t - 4.0F / 29.0F);
}

// May lie outside [0, 1].
std::array<float, 3> to_linear(const Lab& lab) {
  const float fy = (lab.lightness + 16.0F) / 116.0F;
  const float x = kWhite[0] * expanded(fy + lab.a / 500.0F);
  const float y = kWhite[1] * expanded(fy);
  const float z = kWhite[2] * expanded(fy - lab.b / 200.0F);
  return {3.2404542F * x - 1.5371385F * y - 0.4985314F * z,
          -0.9692660F * x + 1.8760108F * y + 0.0415560F * z,
          0.0556434F * x - 0.2040259F * y + 1.0572252F * z};
}

bool is_srgb(const std::array<float, 3>& linear) {
  constexpr float kSlack = 0.002F;  // less than half a step of 8 bits
  return std::ranges::all_of(linear, [](float c) { return c >= -kSlack && c <= 1.0F + kSlack; });
}

std::uint8_t to_byte(float linear) {
  const float c = std::clamp(linear, 0.0F, 1.0F);
  const float value = c <= 0.0031308F ? 12.92F * c : 1.055F * std::pow(c, 1.0F / 2.4F) - 0.055F;
  return static_cast<std::uint8_t>(std::lround(value * 255.0F));
}

}  // namespace

Lab to_lab(const std::uint8_t* rgb) {
  const auto& table = linear_light();
  const float r = table[rgb[0]];
  const float g = table[rgb[1]];
  const float b = table[rgb[2]];
  const float fx = compressed((0.4124564F * r + 0.3575761F * g + 0.1804375F * b) / kWhite[0]);
  const float fy = compressed((0.2126729F * r + 0.7151522F * g + 0.0721750F * b) / kWhite[1]);
  const float fz = compressed((0.0193339F * r + 0.1191920F * g + 0.9503041F * b) / kWhite[2]);
  return {116.0F * fy - 16.0F, 500.0F * (fx - fy), 200.0F * (fy - fz)};
}

std::array<std::uint8_t, 3> to_srgb(const Lab& lab) {
  Lab within = lab;
  within.lightness = std::clamp(lab.lightness, 0.0F, 100.0F);
  std::array<float, 3> linear = to_linear(within);
  if (!is_srgb(linear)) {
    float low = 0.0F;
    float high = 1.0F;
    const auto with_chroma = [&](float share) {
      return to_linear({within.lightness, lab.a * share, lab.b * share});
    };
    for (int i = 0; i < 6; ++i) {
      const float middle = (low + high) / 2.0F;
      (is_srgb(with_chroma(middle)) ? low : high) = middle;
    }
    linear = with_chroma(low);
  }
  return {to_byte(linear[0]), to_byte(linear[1]), to_byte(linear[2])};
}

float distance(const Lab& a, const Lab& b) {
  const float lightness = a.lightness - b.lightness;
  const float da = a.a - b.a;
  const float db = a.b - b.b;
  return std::sqrt(lightness * lightness + da * da + db * db);
}

}  // namespace vsearch::eval

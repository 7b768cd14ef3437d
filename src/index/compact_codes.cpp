#include "index/compact_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace vsearch::index {
namespace {

// Of the standard deviation.
constexpr float kBestStep = 0.9957F;
constexpr float kMostCodeWeight = 127.0F;

}  // namespace

CompactCodes::CompactCodes(const Kernels& kernels, std::size_t dim, Metric metric)
    : kernels_(kernels),
      dim_(dim),
      width_((dim + kCodeBlock - 1) / kCodeBlock * kCodeBlock),
      record_bytes_(width_ / 4 + (metric == Metric::kL2 ? 2 : 1) * sizeof(float)),
      metric_(metric),
      rotation_(dim) {}

void CompactCodes::encode(std::span<const float> vector, std::span<const float> centre,
                          std::byte* record, std::span<float> rotated,
                          std::span<float> scratch) const noexcept {
  for (std::size_t i = 0; i < dim_; ++i) rotated[i] = vector[i] - centre[i];
  rotation_.apply(kernels_, rotated.data(), scratch.data());
  double squares = 0;
  for (const float value : rotated) squares += static_cast<double>(value) * value;
  const double step = kBestStep * std::sqrt(squares / static_cast<double>(dim_));
  const auto per_step = static_cast<float>(step > 0 ? 1.0 / step : 0.0);
  auto* const packed = reinterpret_cast<std::uint8_t*>(record);
  std::fill_n(packed, width_ / 4, std::uint8_t{0});
  double product = 0;
  for (std::size_t i = 0; i < dim_; ++i) {
    const float code = std::clamp(std::floor(rotated[i] * per_step) + 2.0F, 0.0F, 3.0F);
    product += (static_cast<double>(code) - 1.5) * rotated[i];
    const std::size_t number = i % kCodeBlock;
    packed[i / kCodeBlock * kPackedBlock + number % kPackedBlock] |=
        static_cast<std::uint8_t>(static_cast<int>(code) << (2 * (number / kPackedBlock)));
  }
  const Factors factors{static_cast<float>(product > 0 ? squares / product : 0.0),
                        static_cast<float>(squares)};
  std::memcpy(record + width_ / 4, &factors, record_bytes_ - width_ / 4);
}

// With the query's q, rotated and rounded to scale * w, and codes u = y + 3/2:
// <y, q> = scale (<u, w> - 3/2 sum w).
void CompactCodes::prepare(std::span<const float> vector, std::span<const float> centre,
                           Query& query) const {
  query.rotated.resize(dim_);
  query.scratch.resize(dim_);
  query.weights.resize(width_);
  const bool l2 = metric_ == Metric::kL2;
  double to_centre = 0;
  for (std::size_t i = 0; i < dim_; ++i) {
    // <o, q> is <centre, q> + <r, q>; |o - q|^2 is |r - (q - centre)|^2.
    const float value = l2 ? vector[i] - centre[i] : vector[i];
    query.rotated[i] = value;
    to_centre += static_cast<double>(value) * (l2 ? value : centre[i]);
  }
  rotation_.apply(kernels_, query.rotated.data(), query.scratch.data());
  float most = 0;
  for (const float value : query.rotated) most = std::max(most, std::fabs(value));
  const float scale = most / kMostCodeWeight;
  kernels_.quantise(query.rotated.data(), scale > 0.0F ? 1.0F / scale : 0.0F, dim_,
                    query.weights.data());
  const int sum = std::accumulate(query.weights.begin(), query.weights.end(), 0);
  query.base = static_cast<float>(l2 ? to_centre : 1.0 - to_centre);
  query.slope = (l2 ? -2.0F : -1.0F) * scale;
  query.shift = -1.5F * query.slope * static_cast<float>(sum);
}

bool CompactCodes::is_sound(const std::byte* record) const noexcept {
  const Factors factors = factors_of(record);
  return std::isfinite(factors.factor) && std::isfinite(factors.squared_length);
}

CompactCodes::Factors CompactCodes::factors_of(const std::byte* record) const noexcept {
  Factors factors{};
  std::memcpy(&factors, record + width_ / 4, record_bytes_ - width_ / 4);
  return factors;
}

void CompactCodes::near(Query& query, const Arena& records, std::span<const Slot> slots,
                        float* distances) const {
  if (query.products.size() < slots.size()) query.products.resize(slots.size());
  kernels_.packed_products(reinterpret_cast<const std::uint8_t*>(records.at(0)), record_bytes_,
                           width_, slots, query.weights.data(), query.products.data());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Factors factors = factors_of(records.at(slots[i]));
    distances[i] =
        query.base + factors.squared_length +
        factors.factor * (query.slope * static_cast<float>(query.products[i]) + query.shift);
  }
}

}  // namespace vsearch::index

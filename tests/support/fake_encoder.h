// An encoder without a network, for tests of everything behind the encoder: the mean colour of
// each cell of a 4 x 4 grid over the picture, so pictures that look alike lie near each other.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsearch_test {

class FakeEncoder : public vsearch::Encoder {
 public:
  static constexpr std::uint32_t kGrid = 4;
  static constexpr std::uint32_t kDim = kGrid * kGrid * 3;

  explicit FakeEncoder(std::string fingerprint = std::string(64, 'f')) {
    info_.name = "fake-grid";
    info_.fingerprint = std::move(fingerprint);
    info_.dim = kDim;
    info_.metric = vsearch::Metric::kCosine;
  }

  const vsearch::EncoderInfo& info() const override { return info_; }

  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    vsearch::Matrix result(images.size(), kDim);
    for (std::size_t i = 0; i < images.size(); ++i) {
      if (images[i].data == nullptr || images[i].width_px == 0 || images[i].height_px == 0) {
        throw vsearch::Error(vsearch::ErrorCode::kInvalidArgument, "an empty picture");
      }
      encode_one(images[i], result.row(i));
      if (progress && !progress(i + 1, images.size())) {
        throw vsearch::Error(vsearch::ErrorCode::kCancelled, "encoding was cancelled");
      }
    }
    return result;
  }

 private:
  static void encode_one(const vsearch::ImageView& image, std::span<float> out) {
    for (std::uint32_t cell = 0; cell < kGrid * kGrid; ++cell) {
      const auto [x0, x1] = bounds(cell % kGrid, image.width_px);
      const auto [y0, y1] = bounds(cell / kGrid, image.height_px);
      double sum[3] = {0, 0, 0};
      for (std::uint32_t y = y0; y < y1; ++y) {
        for (std::uint32_t x = x0; x < x1; ++x) {
          for (std::uint32_t c = 0; c < 3; ++c) sum[c] += image.row(y)[x * 3 + c];
        }
      }
      const double area = static_cast<double>(x1 - x0) * (y1 - y0) * 255.0;
      // The offset keeps a black picture from being a zero vector.
      for (std::uint32_t c = 0; c < 3; ++c) {
        out[cell * 3 + c] = static_cast<float>(sum[c] / area) + 0.01F;
      }
    }
  }
  static std::pair<std::uint32_t, std::uint32_t> bounds(std::uint32_t i, std::uint32_t side) {
    const std::uint32_t low = i * side / kGrid;
    const std::uint32_t high = (i + 1) * side / kGrid;
    return {low < side ? low : side - 1, high > low ? high : low + 1};
  }

  vsearch::EncoderInfo info_;
};

}  // namespace vsearch_test

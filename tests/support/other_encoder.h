// A second encoder, of another model: its embeddings and their length are others.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <string>

#include "support/fake_encoder.h"

namespace vsearch_test {

// The colours of FakeEncoder's cells without every other one, and squared: near are still those
// that look alike, but not in the same order.
class OtherEncoder : public FakeEncoder {
 public:
  static constexpr std::uint32_t kOtherDim = kDim / 2;

  explicit OtherEncoder(std::string fingerprint = std::string(64, 'e'))
      : info_(FakeEncoder::info()) {
    info_.name = "other-grid";
    info_.fingerprint = std::move(fingerprint);
    info_.dim = kOtherDim;
  }

  const vsearch::EncoderInfo& info() const override { return info_; }

  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    if (before) before();
    const vsearch::Matrix full = FakeEncoder::encode(images, progress);
    vsearch::Matrix result(images.size(), kOtherDim);
    for (std::size_t i = 0; i < images.size(); ++i) {
      for (std::size_t d = 0; d < kOtherDim; ++d) {
        result.row(i)[d] = full.row(i)[2 * d] * full.row(i)[2 * d];
      }
    }
    encoded += images.size();
    return result;
  }

  std::function<void()> before;  // called first, if set
  mutable std::atomic<std::uint64_t> encoded{0};

 private:
  vsearch::EncoderInfo info_;
};

}  // namespace vsearch_test

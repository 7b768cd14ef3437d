// From pictures to the tensor that a network takes: docs/models.md, step by step.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstddef>
#include <span>

#include "vsearch/encoder.h"

namespace vsearch::encoder {

// Threads: may be used by many at once. The work of one call is spread over torch's threads, unless
// one of these calls it.
class PixelPreparer {
 public:
  explicit PixelPreparer(const Preprocessing& preprocessing);

  // All steps: float32 [images.size(), 3, height_px, width_px] on the CPU. `first` is the number of
  // images[0] in the caller's call, for messages.
  // Throws kBadImage: a picture that is too long and narrow, or whose size is not the input size
  // when there is no resize.
  at::Tensor prepare(std::span<const ImageView> images, std::size_t first) const;

  // The same in two parts, for a network on another device. First resize, crop and colour order:
  // uint8, on the CPU, in pinned memory if `pinned`.
  at::Tensor resize(std::span<const ImageView> images, std::size_t first, bool pinned) const;
  // Then (x / 255 - mean) / std, as float32, wherever `batch` lies.
  at::Tensor normalise(const at::Tensor& batch) const;

 private:
  template <class Value>
  void fill(std::span<const ImageView> images, std::size_t first,
            const std::array<std::array<Value, 256>, 3>& table, at::Tensor& batch) const;

  Preprocessing preprocessing_;
  std::array<std::array<float, 256>, 3> normalised_;  // of each channel, what a value becomes
};

}  // namespace vsearch::encoder

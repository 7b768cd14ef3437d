// From pictures to the tensor that a network takes: docs/models.md, step by step.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <span>

#include "vsearch/encoder.h"

namespace vsearch::encoder {

// The pictures of one batch as uint8 [images.size(), 3, height_px, width_px] in RGB order: resized
// and cropped. `first` is the number of images[0] in the caller's call, for messages.
// Throws kBadImage: a picture that is too long and narrow, or whose size is not the input size when
// there is no resize. Works on several cores.
at::Tensor resize_batch(std::span<const ImageView> images, const Preprocessing& preprocessing,
                        std::size_t first);

// The rest: colour order and (x / 255 - mean) / std, as float32, on the device where `batch` lies.
at::Tensor normalise(const at::Tensor& batch, const Preprocessing& preprocessing);

}  // namespace vsearch::encoder

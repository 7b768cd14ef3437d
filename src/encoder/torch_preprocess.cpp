#include "encoder/torch_preprocess.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "encoder/preprocessing.h"

namespace vsearch::encoder {
namespace {

// The picture as uint8 [1, 3, height, width], without a copy: torch calls this layout
// channels-last, and its antialiased resize is made for it.
at::Tensor borrow(const ImageView& image) {
  const std::int64_t width = image.width_px;
  const std::int64_t height = image.height_px;
  const auto stride = static_cast<std::int64_t>(image.stride_bytes);
  // from_blob() knows no constant memory; nothing writes to it.
  return at::from_blob(const_cast<std::uint8_t*>(image.data), {1, 3, height, width},
                       {height * stride, 1, stride, 3}, at::kByte);
}

at::Tensor resize(const at::Tensor& pixels, Size size, Interpolation interpolation) {
  if (pixels.size(2) == size.height_px && pixels.size(3) == size.width_px) return pixels;
  const std::int64_t output_size[] = {size.height_px, size.width_px};
  constexpr bool kAlignCorners = false;
  return interpolation == Interpolation::kBicubic
             ? at::_upsample_bicubic2d_aa(pixels, output_size, kAlignCorners)
             : at::_upsample_bilinear2d_aa(pixels, output_size, kAlignCorners);
}

at::Tensor crop(const at::Tensor& pixels, std::int64_t width, std::int64_t height) {
  const std::int64_t top = (pixels.size(2) - height) / 2;
  const std::int64_t left = (pixels.size(3) - width) / 2;
  return pixels.narrow(2, top, height).narrow(3, left, width);
}

void resize_one(const ImageView& image, const Preprocessing& preprocessing, std::size_t number,
                const at::Tensor& out) {
  const std::string name = fmt::format("picture {}", number + 1);
  const Size resized = resized_size(preprocessing, {image.width_px, image.height_px}, name);
  const at::Tensor pixels = resize(borrow(image), resized, preprocessing.interpolation);
  out.copy_(crop(pixels, preprocessing.width_px, preprocessing.height_px)[0]);
}

at::Tensor per_channel(const std::array<float, 3>& values, at::Device device) {
  return at::tensor(at::ArrayRef<float>(values), at::kFloat).view({3, 1, 1}).to(device);
}

}  // namespace

at::Tensor resize_batch(std::span<const ImageView> images, const Preprocessing& preprocessing,
                        std::size_t first) {
  const auto count = static_cast<std::int64_t>(images.size());
  at::Tensor batch =
      at::empty({count, 3, preprocessing.height_px, preprocessing.width_px}, at::kByte);
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    // Torch's worker threads do not inherit the mode of the caller.
    const c10::InferenceMode inference;
    for (std::int64_t i = begin; i < end; ++i) {
      const auto index = static_cast<std::size_t>(i);
      resize_one(images[index], preprocessing, first + index, batch[i]);
    }
  });
  return batch;
}

at::Tensor normalise(const at::Tensor& batch, const Preprocessing& preprocessing) {
  const at::Tensor ordered =
      preprocessing.colour_order == ColourOrder::kBgr ? batch.flip({1}) : batch;
  return ordered.to(at::kFloat)
      .div_(255)
      .sub_(per_channel(preprocessing.mean, batch.device()))
      .div_(per_channel(preprocessing.stddev, batch.device()));
}

}  // namespace vsearch::encoder

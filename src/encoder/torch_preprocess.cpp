#include "encoder/torch_preprocess.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "encoder/preprocessing.h"
#include "image/composite.h"

namespace vsearch::encoder {
namespace {

// The picture as uint8 [1, channels, height, width], without a copy: torch calls this layout
// channels-last, and its antialiased resize is made for it.
at::Tensor borrow(const ImageView& image) {
  const std::int64_t width = image.width_px;
  const std::int64_t height = image.height_px;
  const std::int64_t channels = bytes_per_pixel(image.format);
  const auto stride = static_cast<std::int64_t>(image.stride_bytes);
  // from_blob() knows no constant memory; nothing writes to it.
  return at::from_blob(const_cast<std::uint8_t*>(image.data), {1, channels, height, width},
                       {height * stride, 1, stride, channels}, at::kByte);
}

at::Tensor resize_to(const at::Tensor& pixels, Size size, Interpolation interpolation) {
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

// Where red, green and blue lie in a pixel.
std::array<std::int64_t, 3> channels_of(PixelFormat format) {
  switch (format) {
    case PixelFormat::kBgr:
    case PixelFormat::kBgra:
      return {2, 1, 0};
    case PixelFormat::kGrey:
      return {0, 0, 0};
    default:
      return {0, 1, 2};
  }
}

bool is_opaque(const ImageView& image) {
  for (std::uint32_t y = 0; y < image.height_px; ++y) {
    const std::uint8_t* const row = image.row(y);
    for (std::uint32_t x = 0; x < image.width_px; ++x) {
      if (row[x * 4 + 3] != 255) return false;
    }
  }
  return true;
}

// On the background that decode_image() has where nothing else is asked for.
Image composite(const ImageView& view) {
  const image::Rgb background = DecodeOptions{}.background;
  const std::array<std::int64_t, 3> channels = channels_of(view.format);
  Image result(view.width_px, view.height_px);
  std::uint8_t* to = result.pixels.data();
  for (std::uint32_t y = 0; y < view.height_px; ++y) {
    const std::uint8_t* from = view.row(y);
    for (std::uint32_t x = 0; x < view.width_px; ++x, from += 4) {
      for (std::size_t c = 0; c < 3; ++c) {
        *to++ = image::composite(from[channels[c]], from[3], background[c]);
      }
    }
  }
  return result;
}

}  // namespace

PixelPreparer::PixelPreparer(const Preprocessing& preprocessing) : preprocessing_(preprocessing) {
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t value = 0; value < 256; ++value) {
      const float scaled = static_cast<float>(value) / 255.0F;
      normalised_[c][value] = (scaled - preprocessing_.mean[c]) / preprocessing_.stddev[c];
    }
  }
}

template <class Value>
void PixelPreparer::fill(std::span<const ImageView> images, std::size_t first,
                         const std::array<std::array<Value, 256>, 3>& table,
                         at::Tensor& batch) const {
  const std::int64_t width = preprocessing_.width_px;
  const std::int64_t height = preprocessing_.height_px;
  auto* const out = batch.mutable_data_ptr<Value>();
  const auto fill_one = [&](std::size_t index) {
    ImageView image = images[index];
    Image composited;
    if (bytes_per_pixel(image.format) == 4 && !is_opaque(image)) {
      composited = composite(image);
      image = composited.view();
    }
    const std::string name = fmt::format("picture {}", first + index + 1);
    const Size size = resized_size(preprocessing_, {image.width_px, image.height_px}, name);
    const at::Tensor pixels =
        crop(resize_to(borrow(image), size, preprocessing_.interpolation), width, height);
    const std::array<std::int64_t, 3> channels = channels_of(image.format);
    const std::int64_t step = pixels.stride(3);
    Value* to = out + static_cast<std::int64_t>(index) * 3 * height * width;
    for (std::size_t c = 0; c < 3; ++c) {
      const bool reversed = preprocessing_.colour_order == ColourOrder::kBgr;
      const std::int64_t channel = channels[reversed ? 2 - c : c];
      const std::uint8_t* row = pixels.const_data_ptr<std::uint8_t>() + channel * pixels.stride(1);
      for (std::int64_t y = 0; y < height; ++y, row += pixels.stride(2), to += width) {
        for (std::int64_t x = 0; x < width; ++x) to[x] = table[c][row[x * step]];
      }
    }
  };
  const auto count = static_cast<std::int64_t>(images.size());
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    // Torch's worker threads do not inherit the mode of the caller.
    const c10::InferenceMode inference;
    for (std::int64_t i = begin; i < end; ++i) fill_one(static_cast<std::size_t>(i));
  });
}

at::Tensor PixelPreparer::prepare(std::span<const ImageView> images, std::size_t first) const {
  at::Tensor batch = at::empty({static_cast<std::int64_t>(images.size()), 3,
                                preprocessing_.height_px, preprocessing_.width_px},
                               at::kFloat);
  fill(images, first, normalised_, batch);
  return batch;
}

at::Tensor PixelPreparer::resize(std::span<const ImageView> images, std::size_t first,
                                 bool pinned) const {
  static constexpr auto kUnchanged = [] {
    std::array<std::array<std::uint8_t, 256>, 3> table{};
    for (auto& channel : table) {
      for (std::size_t value = 0; value < 256; ++value) {
        channel[value] = static_cast<std::uint8_t>(value);
      }
    }
    return table;
  }();
  at::Tensor batch = at::empty({static_cast<std::int64_t>(images.size()), 3,
                                preprocessing_.height_px, preprocessing_.width_px},
                               at::TensorOptions(at::kByte).pinned_memory(pinned));
  fill(images, first, kUnchanged, batch);
  return batch;
}

at::Tensor PixelPreparer::normalise(const at::Tensor& batch) const {
  const auto per_channel = [&](const std::array<float, 3>& values) {
    return at::tensor(at::ArrayRef<float>(values), at::kFloat).view({3, 1, 1}).to(batch.device());
  };
  return batch.to(at::kFloat)
      .div_(255)
      .sub_(per_channel(preprocessing_.mean))
      .div_(per_channel(preprocessing_.stddev));
}

}  // namespace vsearch::encoder

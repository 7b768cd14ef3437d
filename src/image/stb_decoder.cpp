#include "image/stb.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <new>
#include <string_view>

#include "image/limits.h"
#include "image/stb_library.h"
#include "image/structure.h"
#include "vsearch/error.h"

namespace vsearch::image {
namespace {

const char* format_name(Format format) {
  return format == Format::kPng ? "PNG" : format == Format::kGif ? "GIF" : "BMP";
}

std::uint8_t over_white(unsigned value, unsigned alpha) {
  return static_cast<std::uint8_t>((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

void to_rgb(const StbPicture& picture, bool may_have_alpha, Image& image) {
  const std::size_t count = std::size_t{image.width_px} * image.height_px;
  const std::uint8_t* from = picture.pixels.get();
  std::uint8_t* to = image.pixels.data();
  if (picture.channels == 3) {
    std::copy_n(from, count * 3, to);
    return;
  }
  const std::size_t step = static_cast<std::size_t>(picture.channels);
  const std::size_t green = step > 2 ? 1 : 0;
  const std::size_t blue = step > 2 ? 2 : 0;
  const bool has_alpha = may_have_alpha && step != 1;
  for (std::size_t i = 0; i < count; ++i, from += step, to += 3) {
    const unsigned alpha = has_alpha ? from[step - 1] : 255U;
    to[0] = over_white(from[0], alpha);
    to[1] = over_white(from[green], alpha);
    to[2] = over_white(from[blue], alpha);
  }
}

}  // namespace

Image decode_by_stb(Format format, std::span<const std::byte> encoded, const char* name,
                    const DecodeLimits& limits) {
  const Structure structure = check_structure(format, encoded, name);
  check_pixels(name, structure.width_px, structure.height_px, limits);
  if (encoded.size() > INT_MAX) {
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: a {} of more than 2 GiB cannot be read; convert it to JPEG", name,
                            format_name(format)));
  }
  // At most 8 bytes a pixel (16-bit RGBA) and a few for each row and pass; doubled, as buffers are
  // when they grow.
  const std::uint64_t pixels_bytes = structure.width_px * structure.height_px * 8 +
                                     (structure.width_px + structure.height_px) * 16;
  constexpr std::size_t kSmallTablesBytes = std::size_t{64} << 10;
  const StbPicture picture = stb_decode(
      encoded, kSmallTablesBytes + 2 * std::max<std::size_t>(encoded.size(), pixels_bytes));
  if (!picture.pixels) {
    const std::string_view reason =
        picture.needs_larger_block ? "its data are more than its pixels" : picture.failure;
    if (reason == "outofmem") throw std::bad_alloc();
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: damaged or unsupported {} ({}); copy or export the picture again",
                            name, format_name(format), reason));
  }
  Image image(static_cast<std::uint32_t>(picture.width_px),
              static_cast<std::uint32_t>(picture.height_px));
  to_rgb(picture, structure.may_have_alpha, image);
  return image;
}

}  // namespace vsearch::image

#include "image/stb_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <new>
#include <string_view>

#include "image/composite.h"
#include "image/limits.h"
#include "image/stb_library.h"
#include "image/structure.h"
#include "vsearch/error.h"

namespace vsearch::image {
namespace {

const char* format_name(Format format) {
  return format == Format::kGif ? "GIF" : "BMP";
}

void to_rgb(const StbPicture& picture, bool may_have_alpha, const Rgb& background, Image& image) {
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
    to[0] = composite(from[0], alpha, background[0]);
    to[1] = composite(from[green], alpha, background[1]);
    to[2] = composite(from[blue], alpha, background[2]);
  }
}

}  // namespace

Image decode_by_stb(Format format, std::span<const std::byte> encoded, const char* name,
                    const DecodeOptions& options) {
  const Structure structure = check_structure(format, encoded, name);
  check_pixels(name, structure.width_px, structure.height_px, options.limits);
  if (encoded.size() > INT_MAX) {
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: a {} of more than 2 GiB cannot be read; convert it to JPEG", name,
                            format_name(format)));
  }
  const StbPicture picture = stb_decode(encoded);
  if (!picture.pixels) {
    const std::string_view reason = picture.failure;
    if (reason == "outofmem") throw std::bad_alloc();
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: damaged or unsupported {} ({}); copy or export the picture again",
                            name, format_name(format), reason));
  }
  Image image(static_cast<std::uint32_t>(picture.width_px),
              static_cast<std::uint32_t>(picture.height_px));
  to_rgb(picture, structure.may_have_alpha, options.background, image);
  return image;
}

}  // namespace vsearch::image

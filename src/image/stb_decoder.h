// GIF and BMP, by stb_image.
#pragma once

#include <cstddef>
#include <span>

#include "image/format.h"
#include "vsearch/image.h"

namespace vsearch::image {

// As decode_image(), for bytes that begin like `format`: kGif or kBmp.
Image decode_by_stb(Format format, std::span<const std::byte> encoded, const char* name,
                    const DecodeOptions& options);

}  // namespace vsearch::image

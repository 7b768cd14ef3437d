// JPEG, by libjpeg-turbo.
#pragma once

#include <cstddef>
#include <span>

#include "vsearch/image.h"

namespace vsearch::image {

// As decode_image(), for bytes that begin like a JPEG. The pixels are those of libjpeg's accurate
// DCT and smooth upsampling, which Pillow uses too. Whatever libjpeg warns of is an error.
Image decode_jpeg(std::span<const std::byte> encoded, const char* name, const DecodeLimits& limits);

}  // namespace vsearch::image

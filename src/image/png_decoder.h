// PNG, by libpng.
#pragma once

#include <cstddef>
#include <span>

#include "vsearch/image.h"

namespace vsearch::image {

// As decode_image(), for bytes that begin like a PNG.
Image decode_png(std::span<const std::byte> encoded, const char* name,
                 const DecodeOptions& options);

}  // namespace vsearch::image

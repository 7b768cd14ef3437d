// WebP, by libwebp.
#pragma once

#include <cstddef>
#include <span>

#include "vsearch/image.h"

namespace vsearch::image {

// As decode_image(), for bytes that begin like a WebP.
Image decode_webp(std::span<const std::byte> encoded, const char* name,
                  const DecodeOptions& options);

}  // namespace vsearch::image

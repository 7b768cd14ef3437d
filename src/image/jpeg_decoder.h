// JPEG, by libjpeg-turbo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vsearch/image.h"

namespace vsearch::image {

// As decode_image(), for bytes that begin like a JPEG.
Image decode_jpeg(std::span<const std::byte> encoded, const char* name,
                  const DecodeOptions& options);

// At how many eighths of its size a picture of these sides (as stored, not turned) is decoded where
// `cover_width_px` x `cover_height_px` must be covered: 8, 4, 2 or 1.
std::uint32_t choose_eighths(std::uint32_t width_px, std::uint32_t height_px,
                             std::uint32_t cover_width_px, std::uint32_t cover_height_px);

}  // namespace vsearch::image

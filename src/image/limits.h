// The check of DecodeLimits that all decoders share.
#pragma once

#include <cstdint>

#include "vsearch/image.h"

namespace vsearch::image {

// Throws kBadImage if a picture of this size is empty or over the limit. Call it with what the
// header says, before memory for pixels is taken.
void check_pixels(const char* name, std::uint64_t width_px, std::uint64_t height_px,
                  const DecodeLimits& limits);

}  // namespace vsearch::image

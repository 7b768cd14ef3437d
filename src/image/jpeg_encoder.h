// RGB pixels to a JPEG by libjpeg.
#pragma once

#include <cstddef>
#include <vector>

#include "vsearch/image.h"

namespace vsearch::image {

// A baseline JPEG with halved chroma, as most programs write it; `quality` is libjpeg's, 1 to 100.
// Throws kInvalidArgument (no pixels, a side over 65,500 px, a quality out of range), and
// std::bad_alloc.
std::vector<std::byte> encode_jpeg(const Image& image, int quality);

}  // namespace vsearch::image

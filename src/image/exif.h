// The orientation that a camera noted in a JPEG, and turning a picture upright by it.
#pragma once

#include <cstddef>
#include <span>

#include "vsearch/image.h"

namespace vsearch::image {

// The EXIF orientation of a JPEG, 1 to 8; 1 (upright) where it is absent or makes no sense: the
// pixels are good even if what a camera wrote beside them is not.
int exif_orientation(std::span<const std::byte> jpeg);

// The picture as it should be seen: for orientation 6, say, turned by 90 degrees clockwise.
Image apply_orientation(Image image, int orientation);

}  // namespace vsearch::image

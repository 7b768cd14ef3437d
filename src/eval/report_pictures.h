// Pictures inside the report: small JPEGs as data URIs.
#pragma once

#include <cstdint>
#include <string>

#include "vsearch/crop.h"
#include "vsearch/dataset.h"
#include "vsearch/image.h"

namespace vsearch::report {

struct Thumbnail {
  std::string uri{};  // "data:image/jpeg;base64,..."; empty: there is no picture
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
};

// Without pixels: none.
Thumbnail thumbnail_of(const Image& image, std::uint32_t longer_side_px);

// Of the picture with that number, of its crop alone; none if it cannot be read. Throws
// kOutOfMemory.
Thumbnail thumbnail_of(const Dataset& dataset, std::uint32_t picture, std::uint32_t longer_side_px);

}  // namespace vsearch::report

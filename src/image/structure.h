// Reading a file's structure without its pixels: how large the picture is and whether all of it is
// there. stb_image takes missing bytes for zeros, so it is asked only after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "image/format.h"

namespace vsearch::image {

struct Structure {
  std::uint64_t width_px = 0;
  std::uint64_t height_px = 0;
  bool may_have_alpha = true;  // else what looks like alpha is padding
};

// For Format::kPng (with the checksums of the chunks that matter), kGif (up to the end of the first
// frame) and kBmp. Throws kBadImage: truncated, a wrong checksum, a structure that is none,
// fewer bytes than such a picture can take.
Structure check_structure(Format format, std::span<const std::byte> encoded, const char* name);

}  // namespace vsearch::image

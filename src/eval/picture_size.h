// How large a picture is, without its pixels.
#pragma once

#include <cstdint>
#include <filesystem>

namespace vsearch::eval {

struct PictureSize {
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
};

// Of the upright picture. Of a JPEG only the header is looked at; anything else is decoded.
// Throws kFileNotFound, kIo, kBadImage.
PictureSize picture_size(const std::filesystem::path& path);

}  // namespace vsearch::eval

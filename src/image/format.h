// Which format a file's bytes are in, told by their beginning and never by a name.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace vsearch::image {

enum class Format { kJpeg, kPng, kGif, kBmp, kWebp, kUnknown };

Format detect_format(std::span<const std::byte> encoded);

// Why bytes of Format::kUnknown cannot be read and what to do, as the end of a message:
// "TIFF is not supported by this version; convert it to JPEG or PNG".
std::string describe_unknown(std::span<const std::byte> encoded);

}  // namespace vsearch::image

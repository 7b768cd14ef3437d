#include "eval/picture_size.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "image/exif.h"
#include "image/format.h"
#include "image/jpeg_markers.h"
#include "vsearch/image.h"

namespace vsearch::eval {
namespace {

// From the frame header: C0 to CF but for tables (C4, CC) and the reserved C8.
std::optional<PictureSize> jpeg_size(std::span<const std::byte> jpeg) {
  image::JpegMarkers markers(jpeg);
  while (const auto marker = markers.next()) {
    const std::uint8_t code = marker->code;
    const bool is_frame =
        code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 && code != 0xCC;
    if (!is_frame || marker->payload.size() < 5) continue;
    const auto side = [&](std::size_t at) {
      return std::to_integer<std::uint32_t>(marker->payload[at]) << 8 |
             std::to_integer<std::uint32_t>(marker->payload[at + 1]);
    };
    PictureSize size{side(3), side(1)};
    if (image::exif_orientation(jpeg) >= 5) std::swap(size.width_px, size.height_px);
    if (size.width_px > 0 && size.height_px > 0) return size;
  }
  return std::nullopt;
}

}  // namespace

PictureSize picture_size(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_image_file(path);
  if (image::detect_format(bytes) == image::Format::kJpeg) {
    if (const auto size = jpeg_size(bytes)) return *size;
  }
  const Image image = decode_image(bytes, path.string().c_str());
  return {image.width_px, image.height_px};
}

}  // namespace vsearch::eval

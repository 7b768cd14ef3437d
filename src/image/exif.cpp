#include "image/exif.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "image/jpeg_markers.h"

namespace vsearch::image {
namespace {

// Numbers out of bytes of either order; every read is checked against the end.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  void set_little_endian(bool little) { little_ = little; }

  std::optional<std::uint32_t> u16(std::size_t at) const { return number(at, 2); }
  std::optional<std::uint32_t> u32(std::size_t at) const { return number(at, 4); }

 private:
  std::optional<std::uint32_t> number(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size) return std::nullopt;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t from_most_significant = little_ ? size - 1 - i : i;
      value = value << 8 | std::to_integer<std::uint32_t>(bytes_[at + from_most_significant]);
    }
    return value;
  }

  std::span<const std::byte> bytes_;
  bool little_ = false;
};

// `tiff` is what follows "Exif\0\0": a TIFF header and its first directory (TIFF 6.0, section 2).
int orientation_in_tiff(std::span<const std::byte> tiff) {
  constexpr std::uint32_t kOrientationTag = 0x0112;
  constexpr std::uint32_t kTypeShort = 3;
  Reader reader(tiff);
  const auto order = reader.u16(0);
  if (order != 0x4949 && order != 0x4D4D) return 1;
  reader.set_little_endian(order == 0x4949);
  if (reader.u16(2) != 42) return 1;
  const auto directory = reader.u32(4);
  if (!directory) return 1;
  const auto entries = reader.u16(*directory);
  if (!entries) return 1;
  for (std::uint32_t i = 0; i < *entries; ++i) {
    const std::size_t entry = std::size_t{*directory} + 2 + std::size_t{i} * 12;
    const auto tag = reader.u16(entry);
    if (!tag) return 1;
    if (*tag != kOrientationTag) continue;
    const auto value = reader.u16(entry + 8);
    const bool sound = reader.u16(entry + 2) == kTypeShort && value && *value >= 1 && *value <= 8;
    return sound ? static_cast<int>(*value) : 1;
  }
  return 1;
}

}  // namespace

int exif_orientation(std::span<const std::byte> jpeg) {
  constexpr std::size_t kSignatureBytes = 6;
  JpegMarkers markers(jpeg);
  while (const auto marker = markers.next()) {
    if (marker->code == kJpegStartOfScan) return 1;
    if (marker->code == kJpegApp1 && marker->payload.size() > kSignatureBytes &&
        std::memcmp(marker->payload.data(), "Exif\0\0", kSignatureBytes) == 0) {
      return orientation_in_tiff(marker->payload.subspan(kSignatureBytes));
    }
  }
  return 1;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  // Where the pixel at the top left of the result lies in the source, and what a step to the right
  // and a step down in the result mean there.
  const auto width = static_cast<std::ptrdiff_t>(image.width_px);
  const auto height = static_cast<std::ptrdiff_t>(image.height_px);
  const std::ptrdiff_t right = width - 1;
  const std::ptrdiff_t bottom = (height - 1) * width;
  struct Walk {
    std::ptrdiff_t start, step_x, step_y;
  };
  const Walk walks[] = {
      {right, -1, width},            // 2: mirrored left to right
      {bottom + right, -1, -width},  // 3: upside down
      {bottom, 1, -width},           // 4: mirrored top to bottom
      {0, width, 1},                 // 5: transposed
      {bottom, -width, 1},           // 6: to be turned clockwise
      {bottom + right, -width, -1},  // 7: transposed along the other diagonal
      {right, width, -1},            // 8: to be turned counter-clockwise
  };
  const Walk walk = walks[orientation - 2];
  const bool sideways = orientation >= 5;
  Image upright(sideways ? image.height_px : image.width_px,
                sideways ? image.width_px : image.height_px);
  std::uint8_t* to = upright.pixels.data();
  for (std::uint32_t y = 0; y < upright.height_px; ++y) {
    std::ptrdiff_t from = walk.start + static_cast<std::ptrdiff_t>(y) * walk.step_y;
    for (std::uint32_t x = 0; x < upright.width_px; ++x, from += walk.step_x, to += 3) {
      std::memcpy(to, image.pixels.data() + from * 3, 3);
    }
  }
  return upright;
}

}  // namespace vsearch::image

#include "eval/report_pictures.h"

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "catalog/picture_file.h"
#include "eval/picture_changes.h"
#include "image/jpeg_encoder.h"
#include "vsearch/error.h"

namespace vsearch::report {
namespace {

constexpr int kQuality = 82;

std::string base64(std::span<const std::byte> bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  result.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) {
      return at < bytes.size() ? std::to_integer<std::uint32_t>(bytes[at]) : 0U;
    };
    const std::uint32_t three = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    result += kDigits[three >> 18];
    result += kDigits[three >> 12 & 63U];
    result += i + 1 < bytes.size() ? kDigits[three >> 6 & 63U] : '=';
    result += i + 2 < bytes.size() ? kDigits[three & 63U] : '=';
  }
  return result;
}

Thumbnail encoded(const Image& small) {
  return {"data:image/jpeg;base64," + base64(image::encode_jpeg(small, kQuality)), small.width_px,
          small.height_px};
}

}  // namespace

Thumbnail thumbnail_of(const Image& image, std::uint32_t longer_side_px) {
  if (image.pixels.empty()) return {};
  return encoded(eval::shrink(image.view(), longer_side_px));
}

Thumbnail thumbnail_of(const Dataset& dataset, std::uint32_t picture,
                       std::uint32_t longer_side_px) {
  if (picture >= dataset.pictures.size()) return {};
  const DatasetPicture& wanted = dataset.pictures[picture];
  DecodeOptions options;
  options.lenient = true;
  if (wanted.crop.is_whole()) {
    options.cover_width_px = longer_side_px;
    options.cover_height_px = longer_side_px;
  }
  try {
    const Image image = read_image(dataset.root / wanted.path, options);
    return encoded(eval::shrink(detail::cropped(image, wanted.crop), longer_side_px));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kOutOfMemory) throw;
    return {};
  }
}

}  // namespace vsearch::report

#include "image/jpeg_markers.h"

#include <cstring>

namespace vsearch::image {
namespace {

// Restart markers and the like: no segment follows. 0 after 0xFF is a 0xFF of compressed data.
bool stands_alone(std::uint8_t code) {
  return code <= 0x01 || (code >= 0xD0 && code <= 0xD8);
}

}  // namespace

std::optional<JpegMarkers::Marker> JpegMarkers::next() {
  while (at_ < jpeg_.size()) {
    const auto* const found =
        static_cast<const std::byte*>(std::memchr(jpeg_.data() + at_, 0xFF, jpeg_.size() - at_));
    if (found == nullptr) break;
    at_ = static_cast<std::size_t>(found - jpeg_.data()) + 1;
    while (at_ < jpeg_.size() && jpeg_[at_] == std::byte{0xFF}) ++at_;  // fill bytes
    if (at_ == jpeg_.size()) break;
    const auto code = std::to_integer<std::uint8_t>(jpeg_[at_++]);
    if (stands_alone(code)) continue;
    if (code == kJpegEndOfImage || jpeg_.size() - at_ < 2) break;
    const std::size_t length = std::to_integer<std::size_t>(jpeg_[at_]) << 8 |
                               std::to_integer<std::size_t>(jpeg_[at_ + 1]);
    if (length < 2 || jpeg_.size() - at_ < length) break;
    const Marker marker{code, jpeg_.subspan(at_ + 2, length - 2)};
    at_ += length;
    return marker;
  }
  at_ = jpeg_.size();
  return std::nullopt;
}

std::uint64_t count_scans(std::span<const std::byte> jpeg) {
  JpegMarkers markers(jpeg);
  std::uint64_t scans = 0;
  while (const auto marker = markers.next()) scans += marker->code == kJpegStartOfScan ? 1 : 0;
  return scans;
}

}  // namespace vsearch::image

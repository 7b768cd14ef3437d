// The segments of a JPEG file, without decoding any of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace vsearch::image {

inline constexpr std::uint8_t kJpegApp1 = 0xE1;
inline constexpr std::uint8_t kJpegStartOfScan = 0xDA;
inline constexpr std::uint8_t kJpegEndOfImage = 0xD9;

// Walks over the markers of a JPEG as libjpeg does: bytes that belong to no segment (compressed
// data, garbage) are passed over.
class JpegMarkers {
 public:
  struct Marker {
    std::uint8_t code = 0;
    std::span<const std::byte> payload;  // without the length; empty for a marker that has none
  };

  explicit JpegMarkers(std::span<const std::byte> jpeg) : jpeg_(jpeg) {}

  // The next marker after the start of the image, or nothing at the end of the bytes, at the end of
  // the image, and where a segment is longer than what is left.
  std::optional<Marker> next();

 private:
  std::span<const std::byte> jpeg_;
  std::size_t at_ = 2;  // after the start of the image
};

// How many scans the file has: each makes a decoder pass over the whole picture.
std::uint64_t count_scans(std::span<const std::byte> jpeg);

}  // namespace vsearch::image

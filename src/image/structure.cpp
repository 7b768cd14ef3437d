#include "image/structure.h"

#include <fmt/format.h>
#include <zlib.h>

#include <string_view>

#include "vsearch/error.h"

namespace vsearch::image {
namespace {

// Walks forward through the bytes; going past their end is the error "truncated".
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const char* name, std::string_view format)
      : bytes_(bytes), name_(name), format_(format) {}

  std::span<const std::byte> take(std::uint64_t count) {
    if (count > bytes_.size() - at_) {
      truncated(fmt::format("it ends at byte {}, in the middle of the picture", bytes_.size()));
    }
    const auto taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }
  std::uint8_t u8() { return std::to_integer<std::uint8_t>(take(1)[0]); }
  std::uint32_t little_endian(std::size_t size) {
    const auto bytes = take(size);
    std::uint32_t value = 0;
    for (std::size_t i = size; i-- > 0;) {
      value = value << 8 | std::to_integer<std::uint32_t>(bytes[i]);
    }
    return value;
  }
  std::uint32_t big_endian_u32() {
    std::uint32_t value = 0;
    for (const std::byte byte : take(4)) value = value << 8 | std::to_integer<std::uint32_t>(byte);
    return value;
  }

  [[noreturn]] void truncated(std::string_view reason) const {
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: truncated {} ({}); copy or export the picture again", name_,
                            format_, reason));
  }
  [[noreturn]] void damaged(std::string_view reason) const {
    throw Error(ErrorCode::kBadImage,
                fmt::format("{}: damaged or unsupported {} ({}); copy or export the picture again",
                            name_, format_, reason));
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  const char* name_;
  std::string_view format_;
};

// CRC-32 as PNG uses it (ISO 3309).
std::uint32_t checksum_of(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// A few bytes that promise many pixels are found out before memory for these is taken.
void check_length(const Cursor& cursor, std::uint64_t data_bytes, std::uint64_t least_bytes,
                  const Structure& picture) {
  if (data_bytes >= least_bytes) return;
  cursor.truncated(fmt::format("{} bytes cannot hold {} x {} pixels", data_bytes, picture.width_px,
                               picture.height_px));
}

Structure check_png(std::span<const std::byte> encoded, const char* name) {
  Cursor cursor(encoded, name, "PNG");
  constexpr std::size_t kSignatureBytes = 8;
  cursor.take(kSignatureBytes);
  Structure found;
  std::uint64_t least_bytes = 0;
  std::uint64_t data_bytes = 0;
  bool has_data = false;
  for (bool first = true;; first = false) {
    const std::uint32_t length = cursor.big_endian_u32();
    if (length > 0x7FFFFFFFU) cursor.damaged("an impossible chunk length");
    // The checksum covers the chunk's type and data.
    const auto chunk = cursor.take(std::uint64_t{length} + 4);
    const std::uint32_t checksum = cursor.big_endian_u32();
    const std::string_view type(reinterpret_cast<const char*>(chunk.data()), 4);
    if (first != (type == "IHDR")) cursor.damaged("IHDR is not the first chunk");
    const bool critical = (static_cast<unsigned char>(type[0]) & 0x20U) == 0;
    if ((critical || type == "tRNS") && checksum_of(chunk) != checksum) {
      cursor.damaged(fmt::format("wrong checksum of its {} chunk", critical ? type : "tRNS"));
    }
    if (type == "IHDR") {
      Cursor header(chunk.subspan(4), name, "PNG");
      found.width_px = header.big_endian_u32();
      found.height_px = header.big_endian_u32();
      const std::uint64_t depth = header.u8();
      const std::uint8_t colour_type = header.u8();
      if (found.width_px > 0x7FFFFFFFU || found.height_px > 0x7FFFFFFFU || depth > 16) {
        cursor.damaged("an impossible header");
      }
      const std::uint64_t samples = colour_type == 2   ? 3
                                    : colour_type == 4 ? 2
                                    : colour_type == 6 ? 4
                                                       : 1;
      // Deflate makes at most 1032 bytes of one (zlib, "Technical Details"). A double, since the
      // product may exceed 64 bits.
      const std::uint64_t row_bytes = found.width_px * depth * samples / 8;
      const double pixel_bytes =
          static_cast<double>(row_bytes) * static_cast<double>(found.height_px);
      least_bytes = static_cast<std::uint64_t>(pixel_bytes / 1032);
    } else if (type == "IDAT") {
      has_data = true;
      data_bytes += length;
    } else if (type == "IEND") {
      if (!has_data) cursor.damaged("no picture in it");
      check_length(cursor, data_bytes, least_bytes, found);
      return found;
    } else if (critical && type != "PLTE") {
      cursor.damaged("a chunk of an unknown kind");
    }
  }
}

Structure check_gif(std::span<const std::byte> encoded, const char* name) {
  Cursor cursor(encoded, name, "GIF");
  const auto skip_colour_table = [&cursor](std::uint8_t flags) {
    if ((flags & 0x80U) != 0) cursor.take(std::uint64_t{3} << ((flags & 7U) + 1));
  };
  const auto skip_blocks = [&cursor] {
    std::uint64_t skipped = 0;
    while (const std::uint8_t length = cursor.u8()) skipped += cursor.take(length).size();
    return skipped;
  };
  cursor.take(6);  // "GIF89a"
  Structure found;
  found.width_px = cursor.little_endian(2);
  found.height_px = cursor.little_endian(2);
  const std::uint8_t flags = cursor.u8();
  cursor.take(2);  // background colour, aspect ratio
  skip_colour_table(flags);
  for (;;) {
    constexpr std::uint8_t kExtension = 0x21;
    constexpr std::uint8_t kImage = 0x2C;
    constexpr std::uint8_t kTrailer = 0x3B;
    const std::uint8_t kind = cursor.u8();
    if (kind == kExtension) {
      cursor.take(1);
      skip_blocks();
    } else if (kind == kImage) {
      cursor.take(4);  // position of the frame
      Structure frame;
      frame.width_px = cursor.little_endian(2);
      frame.height_px = cursor.little_endian(2);
      skip_colour_table(cursor.u8());
      cursor.take(1);  // bits of a pixel
      const std::uint64_t data_bytes = skip_blocks();
      // A code of LZW has 2 bits or more and stands for at most 4,096 pixels.
      constexpr std::uint64_t kMostPixelsPerByte = std::uint64_t{4} * 4096;
      check_length(cursor, data_bytes, frame.width_px * frame.height_px / kMostPixelsPerByte,
                   frame);
      return found;
    } else {
      cursor.damaged(kind == kTrailer ? "no picture in it" : "a block of an unknown kind");
    }
  }
}

Structure check_bmp(std::span<const std::byte> encoded, const char* name) {
  constexpr std::uint32_t kFileHeaderBytes = 14;
  constexpr std::uint32_t kOldHeaderBytes = 12;
  constexpr std::uint32_t kMinHeaderBytes = 40;
  constexpr std::uint32_t kMinAlphaHeaderBytes = 56;  // the first that has an alpha mask
  Cursor cursor(encoded, name, "BMP");
  cursor.take(10);  // "BM", file size, reserved
  const std::uint32_t data_offset = cursor.little_endian(4);
  const std::uint32_t header_bytes = cursor.little_endian(4);
  Structure found;
  found.may_have_alpha = header_bytes >= kMinAlphaHeaderBytes;
  std::int32_t height = 0;
  if (header_bytes == kOldHeaderBytes) {
    found.width_px = cursor.little_endian(2);
    height = static_cast<std::int32_t>(cursor.little_endian(2));
  } else if (header_bytes >= kMinHeaderBytes) {
    found.width_px = cursor.little_endian(4);
    height = static_cast<std::int32_t>(cursor.little_endian(4));
  } else {
    cursor.damaged("a header of an unknown kind");
  }
  // Negative: the rows go from top to bottom.
  found.height_px = static_cast<std::uint64_t>(height < 0 ? -std::int64_t{height} : height);
  cursor.take(2);  // planes
  const std::uint32_t bits_per_pixel = cursor.little_endian(2);
  // The decoder takes the palette for shorter than it is, and gives wrong colours.
  if (header_bytes == kOldHeaderBytes && bits_per_pixel < 16) {
    cursor.damaged("a palette behind a header of OS/2; save it again, as a PNG");
  }
  if (header_bytes != kOldHeaderBytes) {
    const std::uint32_t compression = cursor.little_endian(4);
    constexpr std::uint32_t kBitFields = 3;
    if (compression != 0 && compression != kBitFields) cursor.damaged("compressed pixels");
  }
  if (data_offset < kFileHeaderBytes + header_bytes) {
    cursor.damaged("the pixels overlap the header");
  }
  if (bits_per_pixel > 32) cursor.damaged("more than 32 bits a pixel");
  if (found.width_px > 0x7FFFFFFFU) cursor.damaged("a negative width");
  if (found.width_px == 0 || found.height_px == 0) return found;
  // Rows are padded to 4 bytes; the padding of the last one may be missing. The products stay
  // under 2^64: a row has less than 2^33 bytes and there are at most 2^31 rows.
  const std::uint64_t row_bytes = (found.width_px * bits_per_pixel + 7) / 8;
  const std::uint64_t padded_bytes = (row_bytes + 3) / 4 * 4;
  Cursor pixels(encoded, name, "BMP");
  pixels.take(data_offset);
  pixels.take(padded_bytes * (found.height_px - 1) + row_bytes);
  return found;
}

}  // namespace

Structure check_structure(Format format, std::span<const std::byte> encoded, const char* name) {
  switch (format) {
    case Format::kPng:
      return check_png(encoded, name);
    case Format::kGif:
      return check_gif(encoded, name);
    default:
      return check_bmp(encoded, name);
  }
}

}  // namespace vsearch::image

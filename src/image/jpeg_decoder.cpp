#include "image/jpeg.h"

#include <fmt/format.h>
#include <turbojpeg.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "image/exif.h"
#include "image/limits.h"
#include "vsearch/error.h"

namespace vsearch::image {
namespace {

struct CloseDecoder {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Decoder = std::unique_ptr<std::remove_pointer_t<tjhandle>, CloseDecoder>;

[[noreturn]] void throw_damaged(const char* name, std::string_view reason) {
  const bool truncated = reason.find("remature end") != std::string_view::npos;
  throw Error(ErrorCode::kBadImage,
              fmt::format("{}: {} JPEG ({}); copy or export the picture again", name,
                          truncated ? "truncated" : "damaged or unsupported", reason));
}

// Adobe writes the inks of CMYK inverted, and everybody followed: 255 is no ink. A device-neutral
// conversion, as Pillow does it: each colour is what its ink and black leave of white.
void convert_cmyk(const std::vector<std::uint8_t>& inks, std::vector<std::uint8_t>& rgb) {
  const std::size_t pixels = inks.size() / 4;
  for (std::size_t i = 0; i < pixels; ++i) {
    const unsigned not_black = inks[i * 4 + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = (255U - inks[i * 4 + c]) * not_black + 128U;
      const unsigned absorbed = ((product >> 8) + product) >> 8;  // product / 255, rounded
      rgb[i * 3 + c] = static_cast<std::uint8_t>(not_black - absorbed);
    }
  }
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> encoded, const char* name,
                  const DecodeLimits& limits) {
  const Decoder decoder(tjInitDecompress());
  if (!decoder) {
    throw Error(ErrorCode::kOutOfMemory, fmt::format("{}: no memory to decode the JPEG", name));
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(encoded.data());
  const auto size = static_cast<unsigned long>(encoded.size());
  int width = 0;
  int height = 0;
  int subsampling = -1;
  int colourspace = -1;
  if (tjDecompressHeader3(decoder.get(), bytes, size, &width, &height, &subsampling,
                          &colourspace) != 0) {
    // TurboJPEG has no name for rare chroma samplings and says so, but decodes them.
    const bool only_rare_sampling = width > 0 && height > 0 && subsampling < 0 && colourspace >= 0;
    if (!only_rare_sampling) throw_damaged(name, tjGetErrorStr2(decoder.get()));
  }
  check_pixels(name, static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height), limits);

  Image image(static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height));
  const bool cmyk = colourspace == TJCS_CMYK || colourspace == TJCS_YCCK;
  std::vector<std::uint8_t> inks(cmyk ? image.pixels.size() / 3 * 4 : 0);
  // LIMITSCANS: a progressive file of thousands of scans would take minutes.
  constexpr int kFlags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  if (tjDecompress2(decoder.get(), bytes, size, cmyk ? inks.data() : image.pixels.data(), width, 0,
                    height, cmyk ? TJPF_CMYK : TJPF_RGB, kFlags) != 0) {
    throw_damaged(name, tjGetErrorStr2(decoder.get()));
  }
  if (cmyk) convert_cmyk(inks, image.pixels);
  return apply_orientation(std::move(image), exif_orientation(encoded));
}

}  // namespace vsearch::image

#include "image/webp_decoder.h"

#include <fmt/format.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "image/composite.h"
#include "image/limits.h"
#include "vsearch/error.h"

namespace vsearch::image {
namespace {

struct DeleteDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

struct FirstFrame {
  WebPIterator iterator{};
  ~FirstFrame() { WebPDemuxReleaseIterator(&iterator); }
};

[[noreturn]] void throw_damaged(const char* name, std::string_view reason) {
  throw Error(
      ErrorCode::kBadImage,
      fmt::format("{}: {} WebP ({}); copy or export the picture again", name,
                  reason == "bytes are missing" ? "truncated" : "damaged or unsupported", reason));
}

void check_status(VP8StatusCode status, const char* name) {
  switch (status) {
    case VP8_STATUS_OK:
      return;
    case VP8_STATUS_OUT_OF_MEMORY:
      throw std::bad_alloc();
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      throw_damaged(name, "bytes are missing");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      throw_damaged(name, "a feature that libwebp does not know");
    default:
      throw_damaged(name, "its data make no picture");
  }
}

// Decodes a still picture into `pixels`, which has 3 or 4 bytes a pixel as `mode` wants.
void decode_into(const WebPData& still, WEBP_CSP_MODE mode, std::size_t row_bytes,
                 std::vector<std::uint8_t>& pixels, const char* name) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("{}: the installed libwebp is older than the one this library was "
                            "built with; update it",
                            name));
  }
  config.output.colorspace = mode;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = pixels.data();
  config.output.u.RGBA.stride = static_cast<int>(row_bytes);
  config.output.u.RGBA.size = pixels.size();
  const VP8StatusCode status = WebPDecode(still.bytes, still.size, &config);
  WebPFreeDecBuffer(&config.output);
  check_status(status, name);
}

}  // namespace

Image decode_webp(std::span<const std::byte> encoded, const char* name,
                  const DecodeOptions& options) {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(encoded.data());
  WebPBitstreamFeatures file;
  check_status(WebPGetFeatures(bytes, encoded.size(), &file), name);
  // Of a picture in parts this is the size of the whole.
  check_pixels(name, static_cast<std::uint64_t>(file.width),
               static_cast<std::uint64_t>(file.height), options.limits);

  const WebPData data{bytes, encoded.size()};
  WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
  const std::unique_ptr<WebPDemuxer, DeleteDemuxer> demuxer(WebPDemuxPartial(&data, &state));
  if (state == WEBP_DEMUX_PARSE_ERROR) throw_damaged(name, "its parts do not fit together");
  FirstFrame frame;
  if (!demuxer || state != WEBP_DEMUX_DONE ||
      WebPDemuxGetFrame(demuxer.get(), 1, &frame.iterator) == 0) {
    throw_damaged(name, "bytes are missing");
  }
  const WebPData& still = frame.iterator.fragment;
  WebPBitstreamFeatures features;
  check_status(WebPGetFeatures(still.bytes, still.size, &features), name);
  const auto width = static_cast<std::uint32_t>(features.width);
  const auto height = static_cast<std::uint32_t>(features.height);
  check_pixels(name, width, height, options.limits);

  Image image(static_cast<std::uint32_t>(file.width), static_cast<std::uint32_t>(file.height));
  const bool fills = width == image.width_px && height == image.height_px;
  if (fills && features.has_alpha == 0) {
    decode_into(still, MODE_RGB, std::size_t{width} * 3, image.pixels, name);
    return image;
  }
  std::vector<std::uint8_t> rgba(std::size_t{width} * height * 4);
  decode_into(still, MODE_RGBA, std::size_t{width} * 4, rgba, name);
  if (fills) {
    composite_rgba(rgba.data(), rgba.size() / 4, options.background, image.pixels.data());
    return image;
  }
  // The first frame of an animation may leave some of the canvas free.
  const auto left = static_cast<std::uint32_t>(frame.iterator.x_offset);
  const auto top = static_cast<std::uint32_t>(frame.iterator.y_offset);
  if (left + width > image.width_px || top + height > image.height_px) {
    throw_damaged(name, "a frame beyond the canvas");
  }
  for (std::size_t at = 0; at < image.pixels.size(); at += 3) {
    std::copy_n(options.background.begin(), 3,
                image.pixels.begin() + static_cast<std::ptrdiff_t>(at));
  }
  for (std::uint32_t y = 0; y < height; ++y) {
    composite_rgba(rgba.data() + std::size_t{y} * width * 4, width, options.background,
                   image.pixels.data() + (std::size_t{top + y} * image.width_px + left) * 3);
  }
  return image;
}

}  // namespace vsearch::image

#include "eval/report_pictures.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "image/jpeg_encoder.h"
#include "vsearch/error.h"

namespace vsearch::report {
namespace {

constexpr int kQuality = 82;

// What part of which pixels makes one of the smaller picture.
struct Cover {
  std::uint32_t first = 0;
  std::vector<float> weights;  // they sum to 1
};

// Of each of `to` pixels among `from` that begin at `offset`.
std::vector<Cover> covers(std::uint32_t offset, std::uint32_t from, std::uint32_t to) {
  std::vector<Cover> result(to);
  const double width = static_cast<double>(from) / to;
  for (std::uint32_t i = 0; i < to; ++i) {
    const double begin = i * width;
    const double end = std::min<double>((i + 1) * width, from);
    const auto first = std::min(static_cast<std::uint32_t>(begin), from - 1);
    result[i].first = offset + first;
    for (std::uint32_t pixel = first; pixel == first || pixel < end; ++pixel) {
      const double part = std::min<double>(end, pixel + 1.0) - std::max<double>(begin, pixel);
      result[i].weights.push_back(static_cast<float>(part / (end - begin)));
    }
  }
  return result;
}

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

// The pixels from `low` to `high`, shares of `side`; at least one.
struct Cut {
  std::uint32_t first = 0;
  std::uint32_t count = 1;
};
Cut cut(double low, double high, std::uint32_t side) {
  const auto first = std::min(static_cast<std::uint32_t>(std::max(0.0, low) * side), side - 1);
  const auto end = static_cast<std::uint32_t>(std::ceil(std::clamp(high, 0.0, 1.0) * side));
  return {first, end > first ? end - first : 1U};
}

}  // namespace

Image shrink(const Image& image, const CropBox& crop, std::uint32_t longer_side_px) {
  const auto [left, width] = cut(crop.left, crop.right, image.width_px);
  const auto [top, height] = cut(crop.top, crop.bottom, image.height_px);
  const double scale = std::min(1.0, static_cast<double>(longer_side_px) / std::max(width, height));
  const auto scaled = [scale](std::uint32_t side) {
    return std::max(1U, static_cast<std::uint32_t>(std::lround(side * scale)));
  };
  Image result(scaled(width), scaled(height));
  const std::vector<Cover> across = covers(left, width, result.width_px);
  const std::vector<Cover> down = covers(top, height, result.height_px);
  std::vector<float> sums(std::size_t{result.width_px} * 3);
  for (std::uint32_t y = 0; y < result.height_px; ++y) {
    std::ranges::fill(sums, 0.0F);
    for (std::size_t j = 0; j < down[y].weights.size(); ++j) {
      const std::uint8_t* const row =
          image.view().row(down[y].first + static_cast<std::uint32_t>(j));
      for (std::uint32_t x = 0; x < result.width_px; ++x) {
        for (std::size_t i = 0; i < across[x].weights.size(); ++i) {
          const float weight = across[x].weights[i] * down[y].weights[j];
          const std::uint8_t* const pixel = row + (across[x].first + i) * 3;
          for (std::size_t c = 0; c < 3; ++c) sums[x * 3 + c] += weight * pixel[c];
        }
      }
    }
    std::ranges::transform(
        sums, result.pixels.begin() + static_cast<std::ptrdiff_t>(y * sums.size()), [](float sum) {
          return static_cast<std::uint8_t>(std::clamp(std::lround(sum), 0L, 255L));
        });
  }
  return result;
}

Thumbnail thumbnail_of(const Image& image, std::uint32_t longer_side_px) {
  if (image.pixels.empty()) return {};
  return encoded(shrink(image, CropBox{}, longer_side_px));
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
    return encoded(
        shrink(read_image(dataset.root / wanted.path, options), wanted.crop, longer_side_px));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kOutOfMemory) throw;
    return {};
  }
}

}  // namespace vsearch::report

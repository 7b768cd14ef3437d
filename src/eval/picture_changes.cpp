#include "eval/picture_changes.h"
#include "image/jpeg_encoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>

#include "eval/lab.h"
#include "eval/seeded.h"

namespace vsearch::eval {
namespace {

std::uint8_t rounded_byte(float value) {
  return static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0F, 255.0F)));
}

// What each of `out` pixels along one side is made of: pixels from `first` on, with these weights.
struct Taps {
  std::uint32_t first = 0;
  std::vector<float> weights;
};

// A triangle as wide as two pixels of the coarser of the two grids, which is bilinear
// interpolation where pictures grow.
std::vector<Taps> resize_taps(std::uint32_t in, std::uint32_t out) {
  const double scale = static_cast<double>(in) / out;
  const double reach = std::max(scale, 1.0);
  std::vector<Taps> result(out);
  for (std::uint32_t i = 0; i < out; ++i) {
    const double centre = (i + 0.5) * scale - 0.5;
    const auto first = static_cast<std::int64_t>(std::ceil(centre - reach));
    const auto last = static_cast<std::int64_t>(std::floor(centre + reach));
    Taps& taps = result[i];
    taps.first = static_cast<std::uint32_t>(std::max<std::int64_t>(first, 0));
    double sum = 0;
    for (std::int64_t x = taps.first; x <= std::min<std::int64_t>(last, in - 1); ++x) {
      const double weight = 1.0 - std::abs(static_cast<double>(x) - centre) / reach;
      taps.weights.push_back(static_cast<float>(weight));
      sum += weight;
    }
    for (float& weight : taps.weights) weight = static_cast<float>(weight / sum);
  }
  return result;
}

// `channels` values a pixel; `at(x, y)` points to those of a pixel.
template <typename At>
std::vector<float> resize_values(const At& at, std::uint32_t width, std::uint32_t height,
                                 std::uint32_t channels, std::uint32_t out_width,
                                 std::uint32_t out_height) {
  const std::vector<Taps> across = resize_taps(width, out_width);
  const std::vector<Taps> down = resize_taps(height, out_height);
  const std::size_t row_values = std::size_t{out_width} * channels;
  std::vector<float> narrow(row_values * height);
  for (std::uint32_t y = 0; y < height; ++y) {
    float* out = narrow.data() + y * row_values;
    for (const Taps& taps : across) {
      for (std::uint32_t c = 0; c < channels; ++c) {
        float sum = 0;
        for (std::uint32_t i = 0; i < taps.weights.size(); ++i) {
          sum += taps.weights[i] * static_cast<float>(at(taps.first + i, y)[c]);
        }
        *out++ = sum;
      }
    }
  }
  std::vector<float> result(row_values * out_height);
  for (std::uint32_t y = 0; y < out_height; ++y) {
    float* const out = result.data() + y * row_values;
    for (std::uint32_t i = 0; i < down[y].weights.size(); ++i) {
      const float weight = down[y].weights[i];
      const float* const in = narrow.data() + (down[y].first + i) * row_values;
      for (std::size_t x = 0; x < row_values; ++x) out[x] += weight * in[x];
    }
  }
  return result;
}

Image to_image(const std::vector<float>& values, std::uint32_t width, std::uint32_t height) {
  Image result(width, height);
  std::ranges::transform(values, result.pixels.begin(), rounded_byte);
  return result;
}

template <typename Change>
Image each_pixel(const Image& image, const Change& change) {
  Image result(image.width_px, image.height_px);
  for (std::size_t i = 0; i + 2 < image.pixels.size(); i += 3) {
    const std::array<std::uint8_t, 3> pixel = change(image.pixels.data() + i);
    std::ranges::copy(pixel, result.pixels.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return result;
}

// Between pixels; beyond the edge it repeats.
std::array<float, 3> sample(const Image& image, float x, float y) {
  const float right = static_cast<float>(image.width_px - 1);
  const float bottom = static_cast<float>(image.height_px - 1);
  const float cx = std::clamp(x, 0.0F, right);
  const float cy = std::clamp(y, 0.0F, bottom);
  const auto x0 = static_cast<std::uint32_t>(cx);
  const auto y0 = static_cast<std::uint32_t>(cy);
  const std::uint32_t x1 = std::min(x0 + 1, image.width_px - 1);
  const std::uint32_t y1 = std::min(y0 + 1, image.height_px - 1);
  const float fx = cx - static_cast<float>(x0);
  const float fy = cy - static_cast<float>(y0);
  const auto at = [&](std::uint32_t px, std::uint32_t py, std::size_t c) {
    return static_cast<float>(image.pixels[(std::size_t{py} * image.width_px + px) * 3 + c]);
  };
  std::array<float, 3> result{};
  for (std::size_t c = 0; c < 3; ++c) {
    const float upper = at(x0, y0, c) * (1 - fx) + at(x1, y0, c) * fx;
    const float lower = at(x0, y1, c) * (1 - fx) + at(x1, y1, c) * fx;
    result[c] = upper * (1 - fy) + lower * fy;
  }
  return result;
}

}  // namespace

Image resize(const ImageView& image, std::uint32_t width_px, std::uint32_t height_px) {
  const std::uint32_t step = bytes_per_pixel(image.format);
  const auto at = [&](std::uint32_t x, std::uint32_t y) {
    return image.row(y) + std::size_t{x} * step;
  };
  return to_image(resize_values(at, image.width_px, image.height_px, 3, width_px, height_px),
                  width_px, height_px);
}

Image shrink(const ImageView& image, std::uint32_t longer_px) {
  const std::uint32_t longer = std::max(image.width_px, image.height_px);
  const auto side = [&](std::uint32_t px) {
    if (longer <= longer_px) return px;
    return std::max(
        1U, static_cast<std::uint32_t>((std::uint64_t{px} * longer_px + longer / 2) / longer));
  };
  if (longer <= longer_px) {
    Image same(image.width_px, image.height_px);
    for (std::uint32_t y = 0; y < image.height_px; ++y) {
      std::copy_n(image.row(y), std::size_t{image.width_px} * 3,
                  same.pixels.begin() + std::ptrdiff_t{y} * image.width_px * 3);
    }
    return same;
  }
  return resize(image, side(image.width_px), side(image.height_px));
}

Mask resize(const Mask& mask, std::uint32_t width_px, std::uint32_t height_px) {
  const auto at = [&](std::uint32_t x, std::uint32_t y) {
    return mask.values.data() + std::size_t{y} * mask.width_px + x;
  };
  Mask result;
  result.width_px = width_px;
  result.height_px = height_px;
  result.values = resize_values(at, mask.width_px, mask.height_px, 1, width_px, height_px);
  return result;
}

Image recompress(const Image& image, int quality) {
  return decode_image(image::encode_jpeg(image, quality));
}

Image greyscale(const Image& image) {
  return each_pixel(image, [](const std::uint8_t* rgb) {
    return to_srgb({to_lab(rgb).lightness, 0, 0});
  });
}

Image rotate_hue(const Image& image, float degrees) {
  const float angle = degrees * std::numbers::pi_v<float> / 180.0F;
  const float cosine = std::cos(angle);
  const float sine = std::sin(angle);
  return each_pixel(image, [&](const std::uint8_t* rgb) {
    const Lab lab = to_lab(rgb);
    return to_srgb({lab.lightness, lab.a * cosine - lab.b * sine, lab.a * sine + lab.b * cosine});
  });
}

Image within(const Mask& subject, const Image& changed, const Image& image) {
  Image result(image.width_px, image.height_px);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    const float share = subject.values[i / 3];
    result.pixels[i] = rounded_byte(share * static_cast<float>(changed.pixels[i]) +
                                    (1.0F - share) * static_cast<float>(image.pixels[i]));
  }
  return result;
}

Image crop_half(const Image& image, std::uint64_t seed) {
  const auto side = [](std::uint32_t px) {
    return std::max(1U, static_cast<std::uint32_t>(std::lround(px * std::numbers::sqrt2 / 2)));
  };
  Seeded random(seed);
  Image result(side(image.width_px), side(image.height_px));
  const std::size_t left = random.below(image.width_px - result.width_px + 1);
  const std::size_t top = random.below(image.height_px - result.height_px + 1);
  for (std::size_t y = 0; y < result.height_px; ++y) {
    std::copy_n(image.pixels.data() + ((top + y) * image.width_px + left) * 3,
                std::size_t{result.width_px} * 3, result.pixels.data() + y * result.width_px * 3);
  }
  return result;
}

Image rotate(const Image& image, float degrees) {
  const float angle = degrees * std::numbers::pi_v<float> / 180.0F;
  const float cosine = std::cos(angle);
  const float sine = std::sin(angle);
  const float centre_x = static_cast<float>(image.width_px - 1) / 2;
  const float centre_y = static_cast<float>(image.height_px - 1) / 2;
  Image result(image.width_px, image.height_px);
  auto out = result.pixels.begin();
  for (std::uint32_t y = 0; y < image.height_px; ++y) {
    for (std::uint32_t x = 0; x < image.width_px; ++x) {
      const float dx = static_cast<float>(x) - centre_x;
      const float dy = static_cast<float>(y) - centre_y;
      const auto pixel =
          sample(image, centre_x + dx * cosine - dy * sine, centre_y + dx * sine + dy * cosine);
      out = std::ranges::transform(pixel, out, rounded_byte).out;
    }
  }
  return result;
}

Image rotate_quarter(const Image& image) {
  Image result(image.height_px, image.width_px);
  for (std::size_t y = 0; y < result.height_px; ++y) {
    for (std::size_t x = 0; x < result.width_px; ++x) {
      std::copy_n(image.pixels.data() + (x * image.width_px + (image.width_px - 1 - y)) * 3, 3,
                  result.pixels.data() + (y * result.width_px + x) * 3);
    }
  }
  return result;
}

Image blur(const Image& image, float share) {
  const float sigma =
      std::max(0.3F, share * static_cast<float>(std::min(image.width_px, image.height_px)));
  const int reach = static_cast<int>(std::ceil(3 * sigma));
  std::vector<float> weights(static_cast<std::size_t>(2 * reach) + 1);
  float sum = 0;
  for (int i = -reach; i <= reach; ++i) {
    const float at = static_cast<float>(i) / sigma;
    sum += weights[static_cast<std::size_t>(i + reach)] = std::exp(-at * at / 2);
  }
  for (float& weight : weights) weight /= sum;

  const int width = static_cast<int>(image.width_px);
  const int height = static_cast<int>(image.height_px);
  const auto pass = [&](const std::vector<float>& in, bool across) {
    std::vector<float> out(in.size());
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        for (int i = -reach; i <= reach; ++i) {
          const int from_x = across ? std::clamp(x + i, 0, width - 1) : x;
          const int from_y = across ? y : std::clamp(y + i, 0, height - 1);
          const float weight = weights[static_cast<std::size_t>(i + reach)];
          const float* const from = in.data() + (std::ptrdiff_t{from_y} * width + from_x) * 3;
          float* const to = out.data() + (std::ptrdiff_t{y} * width + x) * 3;
          for (int c = 0; c < 3; ++c) to[c] += weight * from[c];
        }
      }
    }
    return out;
  };
  const std::vector<float> values(image.pixels.begin(), image.pixels.end());
  return to_image(pass(pass(values, true), false), image.width_px, image.height_px);
}

Image add_noise(const Image& image, float deviation, std::uint64_t seed) {
  Seeded random(seed);
  Image result(image.width_px, image.height_px);
  std::ranges::transform(image.pixels, result.pixels.begin(), [&](std::uint8_t value) {
    return rounded_byte(static_cast<float>(value) + deviation * random.normal());
  });
  return result;
}

Image darken(const Image& image, float share, std::uint64_t seed) {
  // Light is proportional to about the 2.2th power of what a file holds. A camera's noise in the
  // dark is some steps of 8 bits.
  const float factor = std::pow(share, 1.0F / 2.2F);
  constexpr float kDarkNoise = 4.0F;
  Seeded random(seed);
  Image result(image.width_px, image.height_px);
  std::ranges::transform(image.pixels, result.pixels.begin(), [&](std::uint8_t value) {
    return rounded_byte(static_cast<float>(value) * factor + kDarkNoise * random.normal());
  });
  return result;
}

}  // namespace vsearch::eval

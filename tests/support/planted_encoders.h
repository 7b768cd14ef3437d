// Encoders with faults that are known, for the pictures of support/shapes.h.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "eval/lab.h"
#include "support/shapes.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsearch_test {

using Features = std::function<std::vector<float>(const vsearch::ImageView&)>;

class PlantedEncoder : public vsearch::Encoder {
 public:
  PlantedEncoder(std::string name, std::uint32_t dim, Features features)
      : features_(std::move(features)) {
    info_.name = std::move(name);
    info_.fingerprint = std::string(64, 'a');
    info_.dim = dim;
  }
  const vsearch::EncoderInfo& info() const override { return info_; }
  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    vsearch::Matrix rows(images.size(), info_.dim);
    for (std::size_t i = 0; i < images.size(); ++i) {
      std::ranges::copy(features_(images[i]), rows.row(i).begin());
      if (progress && !progress(i + 1, images.size())) {
        throw vsearch::Error(vsearch::ErrorCode::kCancelled, "encoding was cancelled");
      }
    }
    return rows;
  }

 private:
  vsearch::EncoderInfo info_;
  Features features_;
};

inline const std::uint8_t* pixel(const vsearch::ImageView& image, std::uint32_t x,
                                 std::uint32_t y) {
  return image.row(y) + std::size_t{x} * 3;
}

inline float luma(const std::uint8_t* rgb) {
  return 0.3F * static_cast<float>(rgb[0]) + 0.59F * static_cast<float>(rgb[1]) +
         0.11F * static_cast<float>(rgb[2]);
}

// (a) The mean colour, and nothing else.
inline std::vector<float> mean_colour(const vsearch::ImageView& image) {
  std::vector<float> sum(4);
  for (std::uint32_t y = 0; y < image.height_px; ++y) {
    for (std::uint32_t x = 0; x < image.width_px; ++x) {
      const vsearch::eval::Lab lab = vsearch::eval::to_lab(pixel(image, x, y));
      sum[0] += lab.lightness - 60;
      sum[1] += lab.a;
      sum[2] += lab.b;
    }
  }
  const float count = static_cast<float>(image.width_px) * static_cast<float>(image.height_px);
  for (float& value : sum) value /= count;
  sum[3] = 5.0F;
  return sum;
}

// (a) again: a histogram of colours.
inline std::vector<float> colour_histogram(const vsearch::ImageView& image) {
  std::vector<float> bins(64, 0.0F);
  for (std::uint32_t y = 0; y < image.height_px; ++y) {
    for (std::uint32_t x = 0; x < image.width_px; ++x) {
      const std::uint8_t* rgb = pixel(image, x, y);
      bins[static_cast<std::size_t>(rgb[0] / 64 * 16 + rgb[1] / 64 * 4 + rgb[2] / 64)] += 1.0F;
    }
  }
  for (float& value : bins) value = std::sqrt(value);
  return bins;
}

// (b) The outermost tenth of the picture, as 4 x 12 cells of colours.
inline std::vector<float> border(const vsearch::ImageView& image) {
  constexpr std::uint32_t kCells = 12;
  std::vector<float> cells(std::size_t{kCells} * 4 * 3);
  const std::uint32_t rim = std::max(1U, std::min(image.width_px, image.height_px) / 12);
  for (std::uint32_t side = 0; side < 4; ++side) {
    const std::uint32_t length = side < 2 ? image.width_px : image.height_px;
    for (std::uint32_t along = 0; along < length; ++along) {
      for (std::uint32_t depth = 0; depth < rim; ++depth) {
        const std::uint32_t x = side == 0 || side == 1 ? along
                                : side == 2            ? depth
                                                       : image.width_px - 1 - depth;
        const std::uint32_t y = side == 0 ? depth : side == 1 ? image.height_px - 1 - depth : along;
        const std::size_t cell = side * kCells + std::size_t{along} * kCells / length;
        for (std::size_t c = 0; c < 3; ++c) {
          cells[cell * 3 + c] +=
              (static_cast<float>(pixel(image, x, y)[c]) - 128.0F) / static_cast<float>(length);
        }
      }
    }
  }
  return cells;
}

// (b) again: the mean colour of the border.
inline std::vector<float> border_colour(const vsearch::ImageView& image) {
  const std::vector<float> cells = border(image);
  std::vector<float> sum(4, 0.0F);
  for (std::size_t i = 0; i < cells.size(); ++i) sum[i % 3] += cells[i];
  sum[3] = 1.0F;
  return sum;
}

// (d) A sound one: the silhouette of what is darker than the border, moved to the middle and scaled
// to one size, on a grid of 12 x 12 cells.
inline std::vector<float> silhouette(const vsearch::ImageView& image) {
  constexpr int kGrid = 12;
  float darkest = 255;
  const std::uint32_t right = image.width_px - 1;
  const std::uint32_t bottom = image.height_px - 1;
  for (std::uint32_t x = 0; x <= right; ++x) {
    darkest = std::min({darkest, luma(pixel(image, x, 0)), luma(pixel(image, x, bottom))});
  }
  for (std::uint32_t y = 0; y <= bottom; ++y) {
    darkest = std::min({darkest, luma(pixel(image, 0, y)), luma(pixel(image, right, y))});
  }
  std::vector<std::array<float, 2>> inside;
  for (std::uint32_t y = 0; y <= bottom; ++y) {
    for (std::uint32_t x = 0; x <= right; ++x) {
      if (luma(pixel(image, x, y)) > darkest - 30) continue;
      inside.push_back({static_cast<float>(x), static_cast<float>(y)});
    }
  }
  std::vector<float> grid(std::size_t{kGrid} * kGrid + 1, 0.0F);
  grid.back() = 0.1F;  // nothing there is no zero vector
  if (inside.empty()) return grid;
  float low_x = inside[0][0], high_x = low_x, low_y = inside[0][1], high_y = low_y;
  for (const auto& [x, y] : inside) {
    low_x = std::min(low_x, x);
    high_x = std::max(high_x, x);
    low_y = std::min(low_y, y);
    high_y = std::max(high_y, y);
  }
  const float reach = std::max({high_x - low_x, high_y - low_y, 1.0F}) * 0.55F;
  const auto cell = [&](float at, float low, float high) {
    const float share = (at - (low + high) / 2) / reach;  // -1 to 1
    return std::clamp(static_cast<int>((share + 1) / 2 * kGrid), 0, kGrid - 1);
  };
  for (const auto& [x, y] : inside) {
    const int at = cell(y, low_y, high_y) * kGrid + cell(x, low_x, high_x);
    grid[static_cast<std::size_t>(at)] += 1.0F;
  }
  const float full = reach * 2 / kGrid * (reach * 2 / kGrid);
  for (std::size_t i = 0; i + 1 < grid.size(); ++i) grid[i] = std::min(grid[i] / full, 1.0F) - 0.4F;
  return grid;
}

// (c) The sound one, but it takes one shape for another: what it sees instead is any picture of
// that one.
class MergingFeatures {
 public:
  MergingFeatures(std::size_t from, std::size_t to) : from_(from), to_(to) {
    for (std::size_t shape = 0; shape < kShapes.size(); ++shape) {
      means_.emplace_back(145);
      for (std::uint64_t i = 0; i < 20; ++i) {
        const std::vector<float> features = silhouette(of(shape, 50000 + i).view());
        for (std::size_t j = 0; j < features.size(); ++j) means_.back()[j] += features[j] / 20;
      }
    }
  }
  std::vector<float> operator()(const vsearch::ImageView& image) const {
    const std::vector<float> features = silhouette(image);
    const auto nearest = std::ranges::min_element(means_, {}, [&](const std::vector<float>& mean) {
      float squares = 0;
      for (std::size_t i = 0; i < mean.size(); ++i) {
        squares += (mean[i] - features[i]) * (mean[i] - features[i]);
      }
      return squares;
    });
    if (static_cast<std::size_t>(nearest - means_.begin()) != from_) return features;
    // The same one for the same silhouette, whatever its colour and background.
    std::uint64_t seed = 0;
    for (const float value : features) seed = seed * 31 + (value > 0 ? 1 : 0);
    return silhouette(of(to_, seed % 100000).view());
  }

 private:
  static vsearch::Image of(std::size_t shape, std::uint64_t seed) {
    return vsearch::decode_image(shape_bmp(shape, seed));
  }

  std::size_t from_;
  std::size_t to_;
  std::vector<std::vector<float>> means_;  // of each shape
};

// Sees the subject's outline, and neither colour nor background.
inline PlantedEncoder sound_encoder() {
  return {"silhouettes", 145, silhouette};
}

}  // namespace vsearch_test

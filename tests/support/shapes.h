// Pictures of twelve shapes: dark and vivid, of any colour, on light and patterned backgrounds of
// any colour. Neither colour nor background says anything of the shape.
#pragma once

#include <fmt/format.h>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <numbers>
#include <string>

#include "support/bmp.h"
#include "support/vectors.h"
#include "vsearch/dataset.h"

namespace vsearch_test {

inline constexpr std::array<const char*, 12> kShapes{"disc", "square", "triangle", "cross",
                                                     "ring", "bar",    "pillar",   "angle",
                                                     "tee",  "cup",    "diamond",  "half"};
inline constexpr std::uint32_t kShapePx = 96;

// Whether the point is in the shape; shapes reach from -1 to 1.
inline bool in_shape(std::size_t shape, double x, double y) {
  const double radius = std::hypot(x, y);
  const bool in_box = std::abs(x) < 0.9 && std::abs(y) < 0.9;
  switch (shape) {
    case 0:
      return radius < 1;
    case 1:
      return in_box;
    case 2:
      return y < 0.9 && y > -0.9 && std::abs(x) < (y + 0.9) / 1.8;
    case 3:
      return in_box && (std::abs(x) < 0.28 || std::abs(y) < 0.28);
    case 4:
      return radius < 1 && radius > 0.55;
    case 5:
      return std::abs(x) < 1 && std::abs(y) < 0.35;
    case 6:
      return std::abs(x) < 0.35 && std::abs(y) < 1;
    case 7:
      return in_box && (x < -0.3 || y > 0.3);
    case 8:
      return in_box && (y < -0.3 || std::abs(x) < 0.28);
    case 9:
      return in_box && (std::abs(x) > 0.4 || y > 0.4);
    case 10:
      return std::abs(x) + std::abs(y) < 1;
    default:
      return radius < 1 && y < 0;
  }
}

inline Rgb vivid(double hue, double low, double high) {
  const auto channel = [&](double turn) {
    const double wave = 0.5 + 0.5 * std::cos(hue + turn * 2 * std::numbers::pi / 3);
    return static_cast<std::uint8_t>(low + (high - low) * wave);
  };
  return {channel(0), channel(1), channel(2)};
}

// One picture of a shape, as BMP. Shape 12 is none: a background alone.
inline std::vector<std::byte> shape_bmp(std::size_t shape, std::uint64_t seed) {
  Random random(seed * 7919 + 17);
  const auto share = [&] { return static_cast<double>(random.below(10001)) / 10000.0; };
  const double turn = 2 * std::numbers::pi;
  const Rgb subject = vivid(turn * share(), 5, 130);
  const double hue = turn * share();
  const std::array<Rgb, 2> tones{vivid(hue, 170, 250), vivid(hue + 0.8 * share(), 190, 255)};
  const double size = 22 + 7 * share();
  const double tilt = 0.3 * (share() - 0.5);
  const double left = 48 + 8 * (share() - 0.5);
  const double top = 48 + 8 * (share() - 0.5);
  const std::size_t pattern = random.below(4);
  const double period = 6 + 12 * share();
  return bmp(kShapePx, kShapePx, [&](std::uint32_t px, std::uint32_t py) {
    const double dx = (px + 0.5 - left) / size;
    const double dy = (py + 0.5 - top) / size;
    if (shape < kShapes.size() && in_shape(shape, dx * std::cos(tilt) - dy * std::sin(tilt),
                                           dx * std::sin(tilt) + dy * std::cos(tilt))) {
      return subject;
    }
    const auto stripe = [&](double at) { return static_cast<long>(at / period) % 2 != 0; };
    const bool second = pattern == 0   ? stripe(px)
                        : pattern == 1 ? stripe(py)
                        : pattern == 2 ? stripe(px) != stripe(py)
                                       : stripe(px + py);
    return tones[second ? 1 : 0];
  });
}

// `per_shape` pictures of each shape, written into `folder`; every one asks all others.
inline vsearch::Dataset write_shapes(const std::filesystem::path& folder, std::size_t per_shape) {
  vsearch::Dataset dataset;
  dataset.name = "shapes";
  dataset.root = folder;
  vsearch::Protocol& protocol = dataset.protocols.emplace_back();
  protocol.name = "leave one out";
  for (std::size_t shape = 0; shape < kShapes.size(); ++shape) {
    dataset.classes.emplace_back(kShapes[shape]);
    for (std::size_t i = 0; i < per_shape; ++i) {
      vsearch::DatasetPicture picture;
      picture.path = fmt::format("{}-{}.bmp", kShapes[shape], i);
      picture.label = static_cast<std::int32_t>(shape);
      write_file(folder / picture.path, shape_bmp(shape, shape * 1000 + i));
      const auto number = static_cast<std::uint32_t>(dataset.pictures.size());
      dataset.pictures.push_back(std::move(picture));
      protocol.queries.push_back(number);
      protocol.gallery.push_back(number);
    }
  }
  return dataset;
}

}  // namespace vsearch_test

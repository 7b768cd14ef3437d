#include "train/augmentation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "eval/seeded.h"
#include "train/sampler.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

using eval::Seeded;

// Each change has chances of its own.
enum class Chance : std::uint64_t { kBackground, kCover, kCrop, kFlip, kColour, kGrey, kErase };

Seeded chances(std::uint64_t seed, Chance chance) {
  return Seeded(derived_seed(seed, static_cast<std::uint64_t>(chance)));
}

bool happens(Seeded& random, double how_often) {
  return random.share() <= how_often;  // a share is above 0
}

// Factors are multiples of 2^-16.
constexpr int kFixedBits = 16;
constexpr std::int32_t kFixedOne = 1 << kFixedBits;
constexpr std::int32_t kFixedHalf = kFixedOne / 2;

std::uint8_t byte_of(std::int32_t fixed) {
  return static_cast<std::uint8_t>(std::clamp((fixed + kFixedHalf) >> kFixedBits, 0, 255));
}

// ITU-R BT.601, as Pillow has it.
std::int32_t luma(const std::uint8_t* rgb) {
  return (rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + kFixedHalf) >> kFixedBits;
}

struct Window {
  std::uint32_t left = 0;
  std::uint32_t top = 0;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
};

// Between `least` and `most` percent of `whole`.
double random_area(Seeded& random, std::uint64_t whole, std::uint64_t least, std::uint64_t most) {
  const std::uint64_t lowest = whole * least / 100;
  return static_cast<double>(lowest + random.below(whole * most / 100 - lowest + 1));
}

// Of width to height, between 1 / r and r for r = (reach + 1) / (reach - 1). Its logarithm,
// 2 atanh(x / reach) with x uniform in -1 to 1, is nearly uniform as it should be, and no library's
// logarithm is needed.
double random_aspect(Seeded& random, std::int64_t reach) {
  constexpr std::int64_t kOne = std::int64_t{1} << 20;
  const std::int64_t x = static_cast<std::int64_t>(random.below(2 * kOne + 1)) - kOne;
  return static_cast<double>(reach * kOne + x) / static_cast<double>(reach * kOne - x);
}

// A window of that area and aspect somewhere in a picture. False if it does not fit or is empty.
bool place_window(Seeded& random, double area, double aspect, const ImageView& picture,
                  Window& window) {
  const double width = std::round(std::sqrt(area * aspect));
  const double height = std::round(std::sqrt(area / aspect));
  if (width < 1 || height < 1 || width > picture.width_px || height > picture.height_px) {
    return false;
  }
  window.width = static_cast<std::uint32_t>(width);
  window.height = static_cast<std::uint32_t>(height);
  window.left = static_cast<std::uint32_t>(random.below(picture.width_px - window.width + 1));
  window.top = static_cast<std::uint32_t>(random.below(picture.height_px - window.height + 1));
  return true;
}

constexpr int kTries = 10;

Window crop_window(const ImageView& picture, Seeded random) {
  const std::uint64_t whole = std::uint64_t{picture.width_px} * picture.height_px;
  constexpr std::int64_t kReach = 7;  // 3:4 to 4:3
  Window window;
  for (int i = 0; i < kTries; ++i) {
    const double area = random_area(random, whole, 20, 100);
    const double aspect = random_aspect(random, kReach);
    if (place_window(random, area, aspect, picture, window)) return window;
  }
  const auto side = [](std::uint32_t other, std::uint32_t longest) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>((std::uint64_t{other} * 4 + 1) / 3, longest));
  };
  window.width = std::min(picture.width_px, side(picture.height_px, picture.width_px));
  window.height = std::min(picture.height_px, side(picture.width_px, picture.height_px));
  window.left = (picture.width_px - window.width) / 2;
  window.top = (picture.height_px - window.height) / 2;
  return window;
}

Image copy_window(const ImageView& picture, const Window& window) {
  Image result(window.width, window.height);
  for (std::uint32_t y = 0; y < window.height; ++y) {
    const std::uint8_t* const from = picture.row(window.top + y) + std::size_t{window.left} * 3;
    std::copy_n(from, std::size_t{window.width} * 3,
                result.pixels.data() + std::size_t{y} * window.width * 3);
  }
  return result;
}

// Where the pixels of one side of a picture lie in another grid: between `first` and `second`, by
// `share` (of kGridOne) nearer to the second.
constexpr std::int32_t kGridOne = 256;
struct GridPoint {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  std::int32_t share = 0;
};

// Pixels `begin` to `begin + count` of a side: pixel i has its middle at (i + 0.5) * step - offset
// in the other grid of `other` pixels; beyond its ends it repeats. Step and offset are multiples of
// 2^-16 of a pixel.
std::vector<GridPoint> grid_points(std::uint32_t begin, std::uint32_t count, std::int64_t step,
                                   std::int64_t offset, std::uint32_t other) {
  std::vector<GridPoint> result(count);
  const std::int64_t last = (std::int64_t{other} - 1) << kFixedBits;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::int64_t middle = (std::int64_t{begin} + i) * step + step / 2 - kFixedHalf + offset;
    const std::int64_t at = std::clamp<std::int64_t>(middle, 0, last);
    result[i].first = static_cast<std::uint32_t>(at >> kFixedBits);
    result[i].second = std::min(result[i].first + 1, other - 1);
    result[i].share = static_cast<std::int32_t>((at & (kFixedOne - 1)) * kGridOne / kFixedOne);
  }
  return result;
}

// At a point between four, times kGridOne squared.
template <typename Value>
std::int32_t at_point(const Value* upper, const Value* lower, const GridPoint& x,
                      const GridPoint& y, std::size_t channels, std::size_t channel) {
  const std::size_t first = x.first * channels + channel;
  const std::size_t second = x.second * channels + channel;
  return (upper[first] * (kGridOne - x.share) + upper[second] * x.share) * (kGridOne - y.share) +
         (lower[first] * (kGridOne - x.share) + lower[second] * x.share) * y.share;
}

// Puts the background, scaled to cover a picture of that size, behind the window of it that
// `crop` holds.
void put_behind(Image& crop, const Window& window, const ImageView& whole,
                const NewBackground& background, Seeded random) {
  const eval::Mask& subject = background.subject;
  // 0 to kGridOne, so that what is all subject stays as it is.
  std::vector<std::int32_t> mask(subject.values.size());
  std::ranges::transform(subject.values, mask.begin(), [](float value) {
    return static_cast<std::int32_t>(std::clamp(value, 0.0F, 1.0F) * kGridOne + 0.5F);
  });
  const auto mask_step = [](std::uint32_t of_mask, std::uint32_t of_picture) {
    return (std::int64_t{of_mask} << kFixedBits) / of_picture;
  };
  const auto mask_x = grid_points(window.left, window.width,
                                  mask_step(subject.width_px, whole.width_px), 0, subject.width_px);
  const auto mask_y =
      grid_points(window.top, window.height, mask_step(subject.height_px, whole.height_px), 0,
                  subject.height_px);

  const ImageView& other = background.picture;
  const std::int64_t step = std::min(mask_step(other.width_px, whole.width_px),
                                     mask_step(other.height_px, whole.height_px));
  // What is more than covers is cut off at either end.
  const auto offset = [&](std::uint32_t of_other, std::uint32_t of_picture) {
    const std::int64_t spare = (std::int64_t{of_other} << kFixedBits) - step * of_picture;
    return static_cast<std::int64_t>(random.below(static_cast<std::size_t>(spare) + 1));
  };
  const std::int64_t offset_x = offset(other.width_px, whole.width_px);
  const std::int64_t offset_y = offset(other.height_px, whole.height_px);
  const auto other_x = grid_points(window.left, window.width, step, offset_x, other.width_px);
  const auto other_y = grid_points(window.top, window.height, step, offset_y, other.height_px);

  std::uint8_t* pixel = crop.pixels.data();
  for (std::uint32_t y = 0; y < window.height; ++y) {
    const GridPoint& my = mask_y[y];
    const GridPoint& oy = other_y[y];
    const std::int32_t* const mask_upper = mask.data() + std::size_t{my.first} * subject.width_px;
    const std::int32_t* const mask_lower = mask.data() + std::size_t{my.second} * subject.width_px;
    const std::uint8_t* const upper = other.row(oy.first);
    const std::uint8_t* const lower = other.row(oy.second);
    for (std::uint32_t x = 0; x < window.width; ++x, pixel += 3) {
      // Of 2^8: the mask's own 8 bits, and the 16 of its place dropped.
      const std::int32_t share =
          at_point(mask_upper, mask_lower, mask_x[x], my, 1, 0) / (kGridOne * kGridOne);
      if (share == kGridOne) continue;
      for (std::size_t c = 0; c < 3; ++c) {
        const std::int32_t behind = at_point(upper, lower, other_x[x], oy, 3, c) >> 8;
        pixel[c] = byte_of(pixel[c] * share * kGridOne + behind * (kGridOne - share));
      }
    }
  }
}

void mirror(Image& image) {
  for (std::uint32_t y = 0; y < image.height_px; ++y) {
    std::uint8_t* left = image.pixels.data() + std::size_t{y} * image.width_px * 3;
    std::uint8_t* right = left + std::size_t{image.width_px - 1} * 3;
    for (; left < right; left += 3, right -= 3) std::swap_ranges(left, left + 3, right);
  }
}

// Each value away from `other`, or towards it, by that factor.
void blend_with(Image& image, std::int32_t factor, std::int32_t other) {
  const std::int32_t rest = (kFixedOne - factor) * other;
  for (std::uint8_t& value : image.pixels) value = byte_of(value * factor + rest);
}

void blend_with_luma(Image& image, std::int32_t factor) {
  std::uint8_t* const end = image.pixels.data() + image.pixels.size();
  for (std::uint8_t* pixel = image.pixels.data(); pixel != end; pixel += 3) {
    const std::int32_t rest = (kFixedOne - factor) * luma(pixel);
    for (std::size_t c = 0; c < 3; ++c) pixel[c] = byte_of(pixel[c] * factor + rest);
  }
}

std::int32_t mean_luma(const Image& image) {
  std::uint64_t sum = 0;
  const std::uint8_t* const end = image.pixels.data() + image.pixels.size();
  for (const std::uint8_t* pixel = image.pixels.data(); pixel != end; pixel += 3) {
    sum += static_cast<std::uint64_t>(luma(pixel));
  }
  const std::uint64_t count = image.pixels.size() / 3;
  return static_cast<std::int32_t>((sum + count / 2) / count);
}

void change_colours(Image& image, double jitter, Seeded random) {
  enum class Part { kBrightness, kContrast, kSaturation };
  std::array order{Part::kBrightness, Part::kContrast, Part::kSaturation};
  random.shuffle(std::span<Part>(order));
  const auto reach = static_cast<std::int32_t>(jitter * kFixedOne);
  for (const Part part : order) {
    const std::int32_t factor =
        kFixedOne - reach +
        static_cast<std::int32_t>(random.below(2 * static_cast<std::size_t>(reach) + 1));
    if (part == Part::kBrightness) {
      blend_with(image, factor, 0);
    } else if (part == Part::kContrast) {
      blend_with(image, factor, mean_luma(image));
    } else {
      blend_with_luma(image, factor);
    }
  }
}

void erase_window(Image& image, Seeded& random) {
  constexpr std::int64_t kReach = 2;       // 1:3 to 3:1
  constexpr std::uint8_t kMeanGrey = 117;  // the luma of ImageNet's mean
  const std::uint64_t whole = std::uint64_t{image.width_px} * image.height_px;
  Window window;
  for (int i = 0; i < kTries; ++i) {
    const double area = random_area(random, whole, 2, 25);
    const double aspect = random_aspect(random, kReach);
    if (!place_window(random, area, aspect, image.view(), window)) continue;
    for (std::uint32_t y = window.top; y < window.top + window.height; ++y) {
      std::fill_n(image.pixels.data() + (std::size_t{y} * image.width_px + window.left) * 3,
                  std::size_t{window.width} * 3, kMeanGrey);
    }
    return;
  }
}

}  // namespace

void check_augmentation(const Augmentation& settings) {
  const std::array<std::pair<const char*, double>, 4> shares{{
      {"colour_jitter", settings.colour_jitter},
      {"greyscale", settings.greyscale},
      {"new_background", settings.new_background},
      {"erase", settings.erase},
  }};
  for (const auto& [name, value] : shares) {
    if (value >= 0 && value <= 1) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("augmentation: {} is {}; give a share of 0 to 1", name, value));
  }
}

bool wants_new_background(const Augmentation& settings, std::uint64_t seed) {
  Seeded random = chances(seed, Chance::kBackground);
  return happens(random, settings.new_background);
}

Image augment(const ImageView& picture, const Augmentation& settings, std::uint64_t seed,
              const NewBackground* background) {
  const Window window = settings.random_crop ? crop_window(picture, chances(seed, Chance::kCrop))
                                             : Window{0, 0, picture.width_px, picture.height_px};
  Image result = copy_window(picture, window);
  if (background != nullptr) {
    put_behind(result, window, picture, *background, chances(seed, Chance::kCover));
  }
  if (settings.flip) {
    Seeded random = chances(seed, Chance::kFlip);
    if (happens(random, 0.5)) mirror(result);
  }
  if (settings.colour_jitter > 0) {
    change_colours(result, settings.colour_jitter, chances(seed, Chance::kColour));
  }
  if (settings.greyscale > 0) {
    Seeded random = chances(seed, Chance::kGrey);
    if (happens(random, settings.greyscale)) blend_with_luma(result, 0);
  }
  if (settings.erase > 0) {
    Seeded random = chances(seed, Chance::kErase);
    if (happens(random, settings.erase)) erase_window(result, random);
  }
  return result;
}

}  // namespace vsearch::training

// Pictures changed by chance: each change against a plain computation of its own.
#include "train/augmentation.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "eval/seeded.h"
#include "support/errors.h"

using Catch::Matchers::Contains;
using vsearch::Augmentation;
using vsearch::ErrorCode;
using vsearch::Image;
using vsearch::eval::Mask;
using vsearch::eval::Seeded;
using vsearch::training::augment;
using vsearch::training::check_augmentation;
using vsearch::training::NewBackground;
using vsearch::training::wants_new_background;
using vsearch_test::error_message;

namespace {

constexpr std::uint64_t kSeeds = 2000;

Augmentation none() {
  Augmentation settings;
  settings.random_crop = settings.flip = false;
  settings.colour_jitter = settings.greyscale = settings.new_background = settings.erase = 0;
  return settings;
}

// Red is the column, green the row, blue the same all over: each pixel says where it was.
Image map_picture(std::uint32_t width, std::uint32_t height) {
  Image image(width, height);
  for (std::uint32_t y = 0; y < height; ++y) {
    for (std::uint32_t x = 0; x < width; ++x) {
      std::uint8_t* const pixel = image.pixels.data() + (std::size_t{y} * width + x) * 3;
      pixel[0] = static_cast<std::uint8_t>(x);
      pixel[1] = static_cast<std::uint8_t>(y);
      pixel[2] = 200;
    }
  }
  return image;
}

Image noise_picture(std::uint32_t width, std::uint32_t height) {
  Image image(width, height);
  Seeded random(7);
  for (std::uint8_t& value : image.pixels) value = static_cast<std::uint8_t>(random.below(256));
  return image;
}

Image plain(std::uint32_t width, std::uint32_t height, std::array<std::uint8_t, 3> colour) {
  Image image(width, height);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = colour[i % 3];
  return image;
}

const std::uint8_t* pixel_at(const Image& image, std::uint32_t x, std::uint32_t y) {
  return image.pixels.data() + (std::size_t{y} * image.width_px + x) * 3;
}

Image mirrored(const Image& image) {
  Image result(image.width_px, image.height_px);
  for (std::uint32_t y = 0; y < image.height_px; ++y) {
    for (std::uint32_t x = 0; x < image.width_px; ++x) {
      std::copy_n(pixel_at(image, image.width_px - 1 - x, y), 3,
                  result.pixels.data() + (std::size_t{y} * image.width_px + x) * 3);
    }
  }
  return result;
}

double luma_of(const std::uint8_t* rgb) {
  return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
}

bool same(const Image& a, const Image& b) {
  return a.width_px == b.width_px && a.height_px == b.height_px && a.pixels == b.pixels;
}

double largest_difference(const Image& a, const std::vector<double>& b) {
  REQUIRE(a.pixels.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    largest = std::max(largest, std::abs(a.pixels[i] - std::clamp(b[i], 0.0, 255.0)));
  }
  return largest;
}

}  // namespace

TEST_CASE("without changes a picture stays as it is") {
  const Image picture = noise_picture(37, 21);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CHECK(same(augment(picture.view(), none(), seed), picture));
  }
}

TEST_CASE("rows with a gap between them are read") {
  const Image picture = map_picture(40, 30);
  vsearch::ImageView part = picture.view();
  part.width_px = 25;
  part.data += 3 * 5;
  const Image result = augment(part, none(), 1);
  REQUIRE(result.width_px == 25);
  CHECK(pixel_at(result, 3, 7)[0] == 8);
  CHECK(pixel_at(result, 3, 7)[1] == 7);
}

TEST_CASE("random crops are parts of 20 to 100 % with sides of 3:4 to 4:3") {
  const Image picture = map_picture(250, 200);
  Augmentation settings = none();
  settings.random_crop = true;
  double least = 1;
  double most = 0;
  double sum = 0;
  std::size_t wide = 0;
  double left_sum = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Image crop = augment(picture.view(), settings, seed);
    const double area = static_cast<double>(crop.pixels.size()) / (3.0 * 250 * 200);
    const double aspect = static_cast<double>(crop.width_px) / crop.height_px;
    least = std::min(least, area);
    most = std::max(most, area);
    sum += area;
    wide += aspect > 1 ? 1 : 0;
    if (aspect < 0.74 || aspect > 1.35) FAIL("width to height " << aspect);
    // All of it is one part of the picture, at its place.
    const std::uint8_t* const first = pixel_at(crop, 0, 0);
    left_sum += first[0] / std::max(1.0, 250.0 - crop.width_px);
    const std::uint8_t* const last = pixel_at(crop, crop.width_px - 1, crop.height_px - 1);
    if (last[0] - first[0] != static_cast<int>(crop.width_px) - 1 ||
        last[1] - first[1] != static_cast<int>(crop.height_px) - 1) {
      FAIL("the crop of seed " << seed << " is no part of the picture");
    }
  }
  CHECK(least >= 0.195);
  CHECK(least < 0.21);
  CHECK(most > 0.95);
  CHECK(most <= 1.0);
  // As RandomResizedCrop of torchvision for this size of picture: large ones fit less often, and
  // wide ones more often.
  CHECK(sum / kSeeds == Approx(0.516).margin(0.02));
  CHECK(static_cast<double>(wide) / kSeeds == Approx(0.585).margin(0.04));
  CHECK(left_sum / kSeeds == Approx(0.5).margin(0.04));
}

TEST_CASE("what no crop fits into is cut in the middle") {
  Augmentation settings = none();
  settings.random_crop = true;
  const Image tall = map_picture(2, 1000);
  const Image one = noise_picture(1, 1);
  const Image small = noise_picture(2, 3);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Image crop = augment(tall.view(), settings, seed);
    REQUIRE(crop.width_px == 2);
    REQUIRE(crop.height_px == 3);
    CHECK(pixel_at(crop, 0, 0)[1] == static_cast<std::uint8_t>(498));
    CHECK(same(augment(one.view(), settings, seed), one));
    const Image part = augment(small.view(), settings, seed);
    CHECK(part.width_px >= 1);
    CHECK(part.height_px >= 1);
  }
}

TEST_CASE("all changes at once work on pictures of any size") {
  Augmentation settings;
  settings.greyscale = settings.erase = settings.new_background = 0.5;
  for (const auto& [width, height] :
       {std::pair(1U, 1U), std::pair(2U, 1000U), std::pair(1000U, 2U), std::pair(3U, 5U)}) {
    const Image picture = noise_picture(width, height);
    Mask subject(1, 1);
    subject.values[0] = 0.5F;
    const Image other = noise_picture(7, 1);
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      const NewBackground background{subject, other.view()};
      const Image result = augment(picture.view(), settings, seed, &background);
      CHECK(result.width_px >= 1);
      CHECK(result.height_px >= 1);
      CHECK(result.pixels.size() == std::size_t{result.width_px} * result.height_px * 3);
    }
  }
}

TEST_CASE("every other picture is mirrored") {
  const Image picture = noise_picture(9, 6);
  const Image other_way = mirrored(picture);
  Augmentation settings = none();
  settings.flip = true;
  std::size_t flipped = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Image result = augment(picture.view(), settings, seed);
    const bool is_flipped = same(result, other_way);
    REQUIRE((is_flipped || same(result, picture)));
    flipped += is_flipped ? 1 : 0;
  }
  CHECK(static_cast<double>(flipped) / kSeeds == Approx(0.5).margin(0.04));
}

TEST_CASE("pictures become grey as often as asked") {
  const Image picture = noise_picture(8, 8);
  Augmentation settings = none();
  settings.greyscale = 0.2;
  std::size_t grey = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Image result = augment(picture.view(), settings, seed);
    if (same(result, picture)) continue;
    ++grey;
    for (std::size_t i = 0; i < result.pixels.size(); i += 3) {
      const std::uint8_t* const pixel = result.pixels.data() + i;
      REQUIRE(pixel[0] == pixel[1]);
      REQUIRE(pixel[1] == pixel[2]);
      REQUIRE(std::abs(pixel[0] - luma_of(picture.pixels.data() + i)) < 0.51);
    }
  }
  CHECK(static_cast<double>(grey) / kSeeds == Approx(0.2).margin(0.03));
}

// Brightness, contrast and saturation change a value linearly as long as nothing is clipped, so
// that the factors can be read off some pixels, and must then explain all of them in some order.
TEST_CASE("colour jitter is brightness, contrast and saturation within their range") {
  // Nothing so near to the ends that it would be clipped.
  Image picture(8, 8);
  Seeded random(3);
  for (std::uint8_t& value : picture.pixels)
    value = static_cast<std::uint8_t>(60 + random.below(100));
  Augmentation settings = none();
  settings.colour_jitter = 0.2;
  double mean_before = 0;
  for (std::size_t i = 0; i < picture.pixels.size(); i += 3) {
    mean_before += luma_of(picture.pixels.data() + i) / 64;
  }
  double darkest = 2;
  double brightest = 0;
  double factor_sum = 0;
  double least_saturated = 2;
  double most_saturated = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Image result = augment(picture.view(), settings, seed);
    double mean_after = 0;
    for (std::size_t i = 0; i < result.pixels.size(); i += 3) {
      mean_after += luma_of(result.pixels.data() + i) / 64;
    }
    // Contrast and saturation leave the mean of the luma as it is.
    const double brightness = mean_after / mean_before;
    darkest = std::min(darkest, brightness);
    brightest = std::max(brightest, brightness);
    factor_sum += brightness;
    // By least squares: of the luma's distance to its mean, brightness times contrast; of the
    // colours' distance to the luma, that times saturation.
    double luma_both = 0;
    double luma_square = 0;
    double colour_both = 0;
    double colour_square = 0;
    for (std::size_t i = 0; i < result.pixels.size(); ++i) {
      const double before = luma_of(picture.pixels.data() + i / 3 * 3);
      const double after = luma_of(result.pixels.data() + i / 3 * 3);
      luma_both += (before - mean_before) * (after - mean_after);
      luma_square += (before - mean_before) * (before - mean_before);
      colour_both += (picture.pixels[i] - before) * (result.pixels[i] - after);
      colour_square += (picture.pixels[i] - before) * (picture.pixels[i] - before);
    }
    const double contrast = luma_both / luma_square / brightness;
    const double saturation = colour_both / colour_square / (brightness * contrast);
    least_saturated = std::min(least_saturated, saturation);
    most_saturated = std::max(most_saturated, saturation);
    std::vector<double> expected(result.pixels.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double luma = luma_of(picture.pixels.data() + i / 3 * 3);
      const double colour = luma + saturation * (picture.pixels[i] - luma);
      expected[i] = brightness * (mean_before + contrast * (colour - mean_before));
    }
    if (largest_difference(result, expected) > 2.5) FAIL("no such change, at seed " << seed);
    if (contrast < 0.78 || contrast > 1.22) FAIL("contrast " << contrast);
  }
  CHECK(darkest == Approx(0.8).margin(0.01));
  CHECK(brightest == Approx(1.2).margin(0.01));
  CHECK(factor_sum / kSeeds == Approx(1.0).margin(0.01));
  CHECK(least_saturated == Approx(0.8).margin(0.02));
  CHECK(most_saturated == Approx(1.2).margin(0.02));
}

TEST_CASE("colours that leave the range of a byte stop at its ends") {
  Image picture(2, 1);
  picture.pixels = {255, 255, 255, 0, 0, 0};
  Augmentation settings = none();
  settings.colour_jitter = 1.0;
  bool dark = false;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Image result = augment(picture.view(), settings, seed);
    // White is never darker than black was.
    CHECK(result.pixels[0] >= result.pixels[3]);
    dark = dark || result.pixels[0] < 60;
  }
  CHECK(dark);
}

TEST_CASE("the erased rectangle has 2 to 25 % of the area") {
  const Image picture = plain(50, 40, {10, 20, 30});
  Augmentation settings = none();
  settings.erase = 0.5;
  std::size_t erased = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Image result = augment(picture.view(), settings, seed);
    std::uint32_t left = 50;
    std::uint32_t right = 0;
    std::uint32_t top = 40;
    std::uint32_t bottom = 0;
    std::size_t grey = 0;
    for (std::uint32_t y = 0; y < 40; ++y) {
      for (std::uint32_t x = 0; x < 50; ++x) {
        const std::uint8_t* const pixel = pixel_at(result, x, y);
        if (pixel[0] == 10) continue;
        ++grey;
        if (pixel[0] != pixel[1] || pixel[1] != pixel[2]) FAIL("not grey, at seed " << seed);
        left = std::min(left, x);
        right = std::max(right, x + 1);
        top = std::min(top, y);
        bottom = std::max(bottom, y + 1);
      }
    }
    if (grey == 0) continue;
    ++erased;
    REQUIRE(grey == std::size_t{right - left} * (bottom - top));
    const double share = static_cast<double>(grey) / 2000;
    if (share < 0.015 || share > 0.27) FAIL("a share of " << share);
  }
  CHECK(static_cast<double>(erased) / kSeeds == Approx(0.5).margin(0.04));
}

TEST_CASE("a subject keeps its pixels before a new background") {
  const Image picture = noise_picture(64, 48);
  const Image other = plain(30, 90, {1, 2, 3});
  Mask subject(32, 24);
  for (std::uint32_t y = 6; y < 18; ++y) {
    for (std::uint32_t x = 8; x < 24; ++x) subject.values[y * 32 + x] = 1.0F;
  }
  const NewBackground background{subject, other.view()};
  const Image result = augment(picture.view(), none(), 5, &background);
  REQUIRE(result.pixels.size() == picture.pixels.size());
  std::size_t kept = 0;
  std::size_t replaced = 0;
  for (std::uint32_t y = 0; y < 48; ++y) {
    for (std::uint32_t x = 0; x < 64; ++x) {
      const bool inside = x > 16 && x < 47 && y > 12 && y < 35;
      const bool outside = x < 15 || x > 48 || y < 11 || y > 36;
      if (inside) {
        ++kept;
        REQUIRE(std::equal(pixel_at(result, x, y), pixel_at(result, x, y) + 3,
                           pixel_at(picture, x, y)));
      } else if (outside) {
        ++replaced;
        REQUIRE(
            std::equal(pixel_at(result, x, y), pixel_at(result, x, y) + 3, other.pixels.begin()));
      }
    }
  }
  CHECK(kept == 30 * 22);
  CHECK(replaced > 1500);

  // And in a crop the same pixels, wherever it was taken.
  Augmentation cropped = none();
  cropped.random_crop = true;
  const Image map = map_picture(64, 48);
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Image part = augment(map.view(), cropped, seed, &background);
    const Image plain_part = augment(map.view(), cropped, seed);
    for (std::uint32_t y = 0; y < part.height_px; ++y) {
      for (std::uint32_t x = 0; x < part.width_px; ++x) {
        const std::uint8_t* const was = pixel_at(plain_part, x, y);
        if (was[0] <= 16 || was[0] >= 47 || was[1] <= 12 || was[1] >= 35) continue;
        REQUIRE(std::equal(was, was + 3, pixel_at(part, x, y)));
      }
    }
  }
}

TEST_CASE("the rim of a subject blends") {
  const Image picture = plain(20, 20, {200, 200, 200});
  const Image other = plain(20, 20, {100, 0, 250});
  Mask subject(1, 1);
  subject.values[0] = 0.25F;
  const NewBackground background{subject, other.view()};
  const Image result = augment(picture.view(), none(), 1, &background);
  CHECK(result.pixels[0] == 125);
  CHECK(result.pixels[1] == 50);
  CHECK(std::abs(result.pixels[2] - 237.5) < 1);
}

TEST_CASE("a new background covers the picture and keeps its proportions") {
  const Image picture = plain(100, 50, {255, 255, 255});
  const Image other = map_picture(200, 200);  // twice as large: 200 x 100 of it are seen
  Mask subject(1, 1);
  const NewBackground background{subject, other.view()};
  int lowest = 255;
  int highest = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Image result = augment(picture.view(), none(), seed, &background);
    const std::uint8_t* const first = pixel_at(result, 0, 0);
    CHECK(std::abs(first[0] - 0.5) < 1);
    const std::uint8_t* const last = pixel_at(result, 99, 49);
    CHECK(std::abs(last[0] - 198.5) < 1);
    CHECK(std::abs(last[1] - first[1] - 98) <= 1);
    lowest = std::min<int>(lowest, first[1]);
    highest = std::max<int>(highest, first[1]);
  }
  CHECK(lowest < 10);
  CHECK(highest > 90);
  CHECK(highest <= 101);
}

TEST_CASE("new backgrounds are wanted as often as asked") {
  Augmentation settings = none();
  settings.new_background = 0.3;
  std::size_t wanted = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    wanted += wants_new_background(settings, seed) ? 1 : 0;
    CHECK_FALSE(wants_new_background(none(), seed));
  }
  CHECK(static_cast<double>(wanted) / kSeeds == Approx(0.3).margin(0.03));
}

TEST_CASE("the same seed gives the same picture, on every machine") {
  const Image picture = noise_picture(64, 48);
  const Image other = noise_picture(50, 50);
  Augmentation settings;
  settings.greyscale = 0.3;
  settings.erase = 0.5;
  Mask subject(8, 6);
  subject.values[20] = subject.values[21] = 1.0F;
  const NewBackground background{subject, other.view()};
  std::uint64_t digest = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Image result = augment(picture.view(), settings, seed, &background);
    CHECK(same(result, augment(picture.view(), settings, seed, &background)));
    CHECK_FALSE(same(result, augment(picture.view(), settings, seed + 1000, &background)));
    digest = vsearch::eval::mixed(digest + result.width_px);
    for (const std::uint8_t value : result.pixels)
      digest = vsearch::eval::mixed(digest + value + 1);
  }
  CHECK(digest == 0x7F4CEC3F243F2026U);
}

TEST_CASE("what one setting does does not depend on the others") {
  const Image picture = noise_picture(64, 48);
  Augmentation crop_alone = none();
  crop_alone.random_crop = true;
  const Augmentation all;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Image part = augment(picture.view(), crop_alone, seed);
    const Image changed = augment(picture.view(), all, seed);
    CHECK(part.width_px == changed.width_px);
    CHECK(part.height_px == changed.height_px);
  }
}

TEST_CASE("augmentation that makes no sense is refused") {
  check_augmentation(none());
  check_augmentation(Augmentation{});
  const auto message = [](double Augmentation::*member, double value) {
    Augmentation settings;
    settings.*member = value;
    return error_message(ErrorCode::kInvalidArgument, [&] { check_augmentation(settings); });
  };
  CHECK_THAT(message(&Augmentation::colour_jitter, 1.5),
             Contains("colour_jitter is 1.5") && Contains("0 to 1"));
  CHECK_THAT(message(&Augmentation::greyscale, -0.1), Contains("greyscale is -0.1"));
  CHECK_THAT(message(&Augmentation::new_background, 2), Contains("new_background"));
  CHECK_THAT(message(&Augmentation::erase, std::numeric_limits<double>::quiet_NaN()),
             Contains("erase is nan"));
}

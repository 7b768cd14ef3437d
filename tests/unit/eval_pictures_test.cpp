// How an audit changes pictures, finds their subjects, and fits colours.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "eval/backgrounds.h"
#include "eval/lab.h"
#include "eval/linear_fit.h"
#include "eval/picture_changes.h"
#include "eval/picture_colours.h"
#include "eval/saliency.h"
#include "support/bmp.h"
#include "support/shapes.h"
#include "support/temp_dir.h"
#include "support/vectors.h"

using namespace vsearch_test;
using namespace vsearch::eval;
using vsearch::Image;
using vsearch::Matrix;

namespace {

Image picture(std::size_t shape, std::uint64_t seed) {
  return vsearch::decode_image(shape_bmp(shape, seed));
}

// Wider than high, with something else in every corner.
Image uneven() {
  Image image(7, 4);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
  }
  return image;
}

double mean_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
  return sum / static_cast<double>(a.pixels.size());
}

// What the pattern hides: pixels that differ from the same picture without its shape.
Mask true_subject(std::size_t shape, std::uint64_t seed) {
  const Image with = picture(shape, seed);
  const Image without = picture(kShapes.size(), seed);
  Mask mask(with.width_px, with.height_px);
  for (std::size_t i = 0; i < mask.values.size(); ++i) {
    const bool same = std::equal(with.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i),
                                 with.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i + 3),
                                 without.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i));
    mask.values[i] = same ? 0.0F : 1.0F;
  }
  return mask;
}

double overlap(const Mask& a, const Mask& b) {
  double both = 0;
  double either = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    const bool in_a = a.values[i] > 0.5F;
    const bool in_b = b.values[i] > 0.5F;
    both += in_a && in_b ? 1 : 0;
    either += in_a || in_b ? 1 : 0;
  }
  return both / either;
}

}  // namespace

TEST_CASE("colours go to L*a*b* and back") {
  const auto lab_of = [](std::uint8_t r, std::uint8_t g, std::uint8_t b) {
    const std::array<std::uint8_t, 3> rgb{r, g, b};
    return to_lab(rgb.data());
  };
  // As published for sRGB with D65.
  const Lab red = lab_of(255, 0, 0);
  CHECK(red.lightness == Approx(53.24).margin(0.02));
  CHECK(red.a == Approx(80.09).margin(0.05));
  CHECK(red.b == Approx(67.20).margin(0.05));
  const Lab blue = lab_of(0, 0, 255);
  CHECK(blue.lightness == Approx(32.30).margin(0.02));
  CHECK(blue.b == Approx(-107.86).margin(0.05));
  CHECK(distance(lab_of(255, 255, 255), lab_of(0, 0, 0)) == Approx(100).margin(0.02));

  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    std::array<std::uint8_t, 3> rgb{};
    for (auto& channel : rgb) channel = static_cast<std::uint8_t>(random.below(256));
    const auto back = to_srgb(to_lab(rgb.data()));
    for (std::size_t c = 0; c < 3; ++c) CHECK(std::abs(back[c] - rgb[c]) <= 1);
  }
  // Too vivid for sRGB: lightness and hue stay.
  const auto pale = to_srgb({50, 200, 100});
  const Lab kept = to_lab(pale.data());
  CHECK(kept.lightness == Approx(50).margin(1.5));
  CHECK(kept.b / kept.a == Approx(0.5).margin(0.05));
}

TEST_CASE("greys and hues keep the lightness") {
  const Image image = picture(0, 1);
  const Image grey = greyscale(image);
  const Image turned = rotate_hue(image, 180);
  for (std::size_t i = 0; i < image.pixels.size(); i += 3 * 97) {
    const Lab before = to_lab(&image.pixels[i]);
    CHECK(to_lab(&grey.pixels[i]).lightness == Approx(before.lightness).margin(0.5));
    CHECK(grey.pixels[i] == grey.pixels[i + 1]);
    const Lab after = to_lab(&turned.pixels[i]);
    CHECK(after.lightness == Approx(before.lightness).margin(1.5));
    CHECK(before.a * after.a + before.b * after.b < 0);
  }
  CHECK(mean_difference(rotate_hue(image, 360), image) < 0.5);
}

TEST_CASE("pictures are cropped, turned and resized") {
  const Image image = uneven();
  Image turned = rotate_quarter(image);
  CHECK(turned.width_px == 4);
  CHECK(turned.height_px == 7);
  // Anticlockwise: the upper right corner becomes the upper left one.
  CHECK(std::equal(turned.pixels.begin(), turned.pixels.begin() + 3, image.pixels.begin() + 6 * 3));
  for (int i = 0; i < 3; ++i) turned = rotate_quarter(turned);
  CHECK(turned.pixels == image.pixels);
  CHECK(rotate(image, 0).pixels == image.pixels);
  const Image square = picture(7, 3);
  CHECK(mean_difference(rotate(square, 90), rotate_quarter(square)) < 1);

  const Image large = picture(3, 2);
  const Image crop = crop_half(large, 5);
  CHECK(crop.width_px == 68);
  CHECK(crop.height_px == 68);
  CHECK(crop_half(large, 5).pixels == crop.pixels);
  CHECK(crop_half(Image(1, 1), 5).pixels.size() == 3);

  CHECK(resize(image.view(), 7, 4).pixels == image.pixels);
  CHECK(shrink(large.view(), 200).pixels == large.pixels);
  const Image small = shrink(large.view(), 24);
  CHECK(small.width_px == 24);
  CHECK(small.height_px == 24);
  Image plain(40, 30);
  std::ranges::fill(plain.pixels, std::uint8_t{77});
  const Image resized = resize(plain.view(), 13, 90);
  CHECK(std::ranges::all_of(resized.pixels, [](std::uint8_t v) { return v == 77; }));
}

TEST_CASE("pictures lose what phones and messengers take from them, the same each time") {
  const Image image = picture(4, 9);
  for (const auto& change : {+[](const Image& i) { return blur(i, 0.015F); },
                             +[](const Image& i) { return recompress(i, 10); },
                             +[](const Image& i) { return add_noise(i, 25.5F, 3); },
                             +[](const Image& i) { return darken(i, 0.1F, 3); },
                             +[](const Image& i) { return write_across(i, "ring 7"); }}) {
    const Image changed = change(image);
    CHECK(changed.width_px == image.width_px);
    CHECK(changed.height_px == image.height_px);
    CHECK(mean_difference(changed, image) > 1);
    CHECK(mean_difference(changed, image) < 170);
    CHECK(change(image).pixels == changed.pixels);
  }
  Image grey(100, 100);
  std::ranges::fill(grey.pixels, std::uint8_t{128});
  double squares = 0;
  for (const std::uint8_t value : add_noise(grey, 20, 1).pixels)
    squares += (value - 128.0) * (value - 128.0);
  CHECK(std::sqrt(squares / static_cast<double>(grey.pixels.size())) == Approx(20).margin(0.5));
  CHECK(blur(grey, 0.05F).pixels == grey.pixels);
  CHECK(write_across(grey, "").pixels == grey.pixels);
  // A white stroke on a black band in the middle, and nothing above.
  const Image written = write_across(grey, "I");
  CHECK(std::ranges::count(written.pixels, 255) > 0);
  CHECK(std::ranges::count(written.pixels, 0) > 0);
  CHECK(std::equal(written.pixels.begin(), written.pixels.begin() + 100 * 3 * 30,
                   grey.pixels.begin()));
}

TEST_CASE("a subject is where its mask is grey of 128 and more, within the crop") {
  const TempDir dir;
  vsearch::DatasetPicture picture;
  picture.path = "picture.bmp";
  picture.mask = "mask.bmp";
  write_file(dir / picture.path, bmp(8, 4, [](auto, auto) { return Rgb{1, 2, 3}; }));
  // A column each of greys, and of colours as light as 128 and 127.
  const std::array<Rgb, 8> columns{Rgb{0, 0, 0},       Rgb{127, 127, 127}, Rgb{128, 128, 128},
                                   Rgb{255, 255, 255}, Rgb{0, 218, 0},     Rgb{0, 217, 0},
                                   Rgb{255, 0, 255},   Rgb{255, 90, 0}};
  write_file(dir / picture.mask, bmp(8, 4, [&](std::uint32_t x, auto) { return columns.at(x); }));
  const Mask mask = subject_by_mask(picture, dir.path());
  REQUIRE(mask.width_px == 8);
  REQUIRE(mask.height_px == 4);
  const std::vector<float> row{0, 0, 1, 1, 1, 0, 0, 1};
  for (std::size_t y = 0; y < 4; ++y) {
    for (std::size_t x = 0; x < 8; ++x) CHECK(mask.values[y * 8 + x] == row[x]);
  }
  picture.crop = {0.25F, 0.5F, 0.75F, 1.0F};
  const Mask part = subject_by_mask(picture, dir.path());
  CHECK(part.width_px == 4);
  CHECK(part.height_px == 2);
  CHECK(part.values == std::vector<float>{1, 1, 1, 0, 1, 1, 1, 0});

  // A large one is kept small, with what lies between at its edge.
  write_file(dir / picture.path, bmp(960, 100, [](auto, auto) { return Rgb{1, 2, 3}; }));
  write_file(dir / picture.mask, bmp(960, 100, [](std::uint32_t x, auto) {
               return x < 480 ? Rgb{255, 255, 255} : Rgb{0, 0, 0};
             }));
  picture.crop = {};
  const Mask small = subject_by_mask(picture, dir.path());
  CHECK(small.width_px == 96);
  CHECK(small.height_px == 10);
  CHECK(subject_share(small) == Approx(0.5).margin(0.01));
}

TEST_CASE("the subject is told from its background by colour") {
  double sum = 0;
  for (std::size_t shape = 0; shape < kShapes.size(); ++shape) {
    const Mask mask = subject_by_colour(picture(shape, shape + 40));
    CHECK(is_usable(mask));
    const double share = overlap(mask, true_subject(shape, shape + 40));
    INFO(kShapes[shape] << ' ' << share);
    CHECK(share > 0.6);
    sum += share / static_cast<double>(kShapes.size());
  }
  CHECK(sum > 0.85);
  Image plain(50, 50);
  std::ranges::fill(plain.pixels, std::uint8_t{200});
  CHECK_FALSE(is_usable(subject_by_colour(plain)));
  CHECK_FALSE(is_usable(subject_by_colour(Image(1, 1))));
}

TEST_CASE("the subject is told from its background by local tokens") {
  vsearch::Preprocessing input;
  input.width_px = input.height_px = 224;
  input.resize_width_px = input.resize_height_px = 256;
  constexpr std::uint32_t kDim = 8;
  // 14 x 14 tokens, of which 4 x 5 are of another kind.
  std::vector<float> tokens;
  Random random(5);
  for (int y = 0; y < 14; ++y) {
    for (int x = 0; x < 14; ++x) {
      const bool inside = x >= 4 && x < 8 && y >= 6 && y < 11;
      for (std::uint32_t d = 0; d < kDim; ++d) {
        tokens.push_back((inside ? 3.0F : 0.0F) * (d < 4 ? 1.0F : -1.0F) + 0.2F * random.normal());
      }
    }
  }
  const auto mask = subject_by_tokens(tokens, kDim, input, 512, 256);
  REQUIRE(mask);
  CHECK(mask->width_px == 512);
  CHECK(mask->height_px == 256);
  // The network sees the middle 224 of 256 rows and of 512 columns, 16 pixels a token.
  const auto at = [&](std::uint32_t x, std::uint32_t y) { return mask->values[y * 512 + x]; };
  CHECK(at(144 + 6 * 16, 16 + 8 * 16) == 1);
  CHECK(at(144 + 2 * 16, 16 + 8 * 16) == 0);
  CHECK(at(144 + 6 * 16, 16 + 2 * 16) == 0);
  CHECK(at(10, 128) == 0);
  CHECK(subject_share(*mask) == Approx(20.0 * 256 / (512 * 256)).margin(0.01));
  CHECK_FALSE(subject_by_tokens(std::span(tokens).first(13 * kDim), kDim, input, 512, 256));
}

TEST_CASE("subjects leave their backgrounds") {
  const std::uint64_t seed = 8;
  const Image image = picture(1, seed);
  const Mask subject = true_subject(1, seed);
  const Image alone = fill_subject(image, subject);
  const Image without = picture(kShapes.size(), seed);
  for (std::size_t i = 0; i < subject.values.size(); ++i) {
    if (subject.values[i] == 0) CHECK(alone.pixels[3 * i] == image.pixels[3 * i]);
  }
  CHECK(mean_difference(alone, without) < mean_difference(image, without) / 3);
  Mask all(96, 96);
  std::ranges::fill(all.values, 1.0F);
  CHECK(mean_difference(fill_subject(image, all), plain_picture(96, 96, 1)) >= 0);

  const Image other = picture(kShapes.size(), 77);
  const Image matched = match_colours(other, image, subject);
  const auto colours_outside = [&](const Image& from) {
    std::vector<std::array<std::uint8_t, 3>> found;
    for (std::size_t i = 0; i < subject.values.size(); ++i) {
      if (subject.values[i] > 0) continue;
      found.push_back({from.pixels[3 * i], from.pixels[3 * i + 1], from.pixels[3 * i + 2]});
    }
    std::ranges::sort(found);
    return found;
  };
  CHECK(colours_outside(matched) == colours_outside(image));
  CHECK(mean_difference(matched, alone) > 2);  // in the pattern of the other

  const Image recoloured = recolour_subject(image, subject);
  for (std::size_t i = 0; i < subject.values.size(); i += 31) {
    const float moved = distance(to_lab(&image.pixels[3 * i]), to_lab(&recoloured.pixels[3 * i]));
    if (subject.values[i] == 0) CHECK(moved < 1);
    if (subject.values[i] == 1) CHECK(moved > 20);
  }
}

TEST_CASE("fits say what can be predicted, and ranks how many dimensions are used") {
  Random random(11);
  Matrix features(200, 6);
  Matrix told(200, 2);
  Matrix noise(200, 2);
  for (std::size_t i = 0; i < 200; ++i) {
    for (float& value : features.row(i)) value = random.normal();
    told.row(i)[0] = 3 * features.row(i)[0] - features.row(i)[4] + 7;
    told.row(i)[1] = features.row(i)[2];
    for (float& value : noise.row(i)) value = random.normal();
  }
  const auto mean = [](const std::vector<float>& values) {
    double sum = 0;
    for (const float value : values) sum += value / static_cast<double>(values.size());
    return sum;
  };
  CHECK(mean(cross_validated_fit(features.view(), told.view(), 1)) > 0.999);
  CHECK(mean(cross_validated_fit(features.view(), noise.view(), 1)) < 0.05);
  // More features than rows.
  Matrix wide(40, 100);
  Matrix first(40, 1);
  for (std::size_t i = 0; i < 40; ++i) {
    for (float& value : wide.row(i)) value = 0.05F * random.normal();
    wide.row(i)[3] = first.row(i)[0] = random.normal();
  }
  CHECK(mean(cross_validated_fit(wide.view(), first.view(), 1)) > 0.9);

  CHECK(effective_rank(features.view()) == Approx(6).margin(0.3));
  Matrix line(50, 6);
  for (std::size_t i = 0; i < 50; ++i) line.row(i)[2] = static_cast<float>(i);
  CHECK(effective_rank(line.view()) == Approx(1).margin(1e-6));
  CHECK(effective_rank(Matrix(10, 3).view()) == 1);
  CHECK(effective_rank(wide.view()) < 30);
}

TEST_CASE("the colour of a subject is that of the part its mask says") {
  Image image(40, 20);  // red to the left, blue to the right
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    image.pixels[i + (i / 3 % 40 < 20 ? 0 : 2)] = 200;
  }
  Mask left(20, 10);  // half as large
  for (std::size_t i = 0; i < left.values.size(); ++i) left.values[i] = i % 20 < 10 ? 1.0F : 0.0F;
  const std::array<std::uint8_t, 3> red{200, 0, 0};
  const std::array<std::uint8_t, 3> blue{0, 0, 200};
  const PictureColour found = colour_of(image, left);
  CHECK(found.subject.a == Approx(to_lab(red.data()).a).margin(1));
  CHECK(found.whole.b == Approx((to_lab(red.data()).b + to_lab(blue.data()).b) / 2).margin(1));
  // Without a background there is no subject to tell.
  std::ranges::fill(left.values, 1.0F);
  CHECK(colour_of(image, left).subject.b == Approx(found.whole.b));
}

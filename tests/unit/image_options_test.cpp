// DecodeOptions: reduced size, background, damaged pictures.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "image/jpeg_decoder.h"
#include "support/errors.h"
#include "support/pictures.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

using vsearch::DecodeOptions;
using vsearch::ErrorCode;
using vsearch::Image;
using vsearch::image::choose_eighths;
using vsearch_test::error_message;
using vsearch_test::picture_bytes;

namespace {

DecodeOptions covering(std::uint32_t width, std::uint32_t height) {
  DecodeOptions options;
  options.cover_width_px = width;
  options.cover_height_px = height;
  return options;
}

// The mean over each square of `factor` pixels.
Image shrunk(const Image& image, std::uint32_t factor) {
  Image result(image.width_px / factor, image.height_px / factor);
  for (std::uint32_t y = 0; y < result.height_px; ++y) {
    for (std::uint32_t x = 0; x < result.width_px; ++x) {
      for (std::uint32_t c = 0; c < 3; ++c) {
        unsigned sum = 0;
        for (std::uint32_t dy = 0; dy < factor; ++dy) {
          for (std::uint32_t dx = 0; dx < factor; ++dx) {
            sum += image.view().row(y * factor + dy)[(x * factor + dx) * 3 + c];
          }
        }
        result.pixels[(std::size_t{y} * result.width_px + x) * 3 + c] =
            static_cast<std::uint8_t>((sum + factor * factor / 2) / (factor * factor));
      }
    }
  }
  return result;
}

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.width_px == b.width_px);
  REQUIRE(a.height_px == b.height_px);
  int largest = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    largest = std::max(largest, std::abs(int{a.pixels[i]} - int{b.pixels[i]}));
  }
  return largest;
}

}  // namespace

TEST_CASE("a JPEG is decoded at the smallest size that covers the wish well") {
  const auto jpeg = picture_bytes("wide.jpg");  // 320 x 240
  const Image full = vsearch::decode_image(jpeg);
  REQUIRE(full.width_px == 320);
  struct Case {
    std::uint32_t width, height, factor;
  };
  for (const Case& c :
       {Case{0, 0, 1}, Case{128, 96, 2}, Case{129, 96, 1}, Case{128, 97, 1}, Case{64, 48, 4},
        Case{32, 24, 8}, Case{1, 1, 8}, Case{0, 96, 2}, Case{5000, 1, 1}}) {
    CAPTURE(c.width, c.height);
    const Image image = vsearch::decode_image(jpeg, "a.jpg", covering(c.width, c.height));
    CHECK(largest_difference(image, shrunk(full, c.factor)) <= (c.factor == 1 ? 0 : 9));
  }
}

TEST_CASE("the wish is for the upright picture") {
  const auto jpeg = picture_bytes("wide-on-side.jpg");  // 240 x 320 as stored, 320 x 240 upright
  const Image full = vsearch::decode_image(jpeg);
  REQUIRE(full.width_px == 320);
  const Image half = vsearch::decode_image(jpeg, "a.jpg", covering(128, 96));
  CHECK(largest_difference(half, shrunk(full, 2)) <= 9);
  CHECK(vsearch::decode_image(jpeg, "a.jpg", covering(96, 128)).width_px == 320);
}

TEST_CASE("a reduced size is not taken where it would distort") {
  // An odd side has half a column too much at 1/2: at most a fifth of a pixel of the result.
  CHECK(choose_eighths(1000, 1000, 256, 256) == 4);
  CHECK(choose_eighths(1001, 1001, 256, 256) == 8);
  CHECK(choose_eighths(1281, 1281, 256, 256) == 4);
  CHECK(choose_eighths(4032, 3024, 256, 256) == 1);
  CHECK(choose_eighths(1200, 900, 256, 256) == 4);
  CHECK(choose_eighths(65500, 65500, 65500, 65500) == 8);
  for (std::uint32_t side = 1; side < 2000; side += 7) {
    for (const std::uint32_t cover : {1U, 16U, 100U, 256U, 5000U}) {
      const std::uint32_t scaled = (side * choose_eighths(side, side, cover, cover) + 7) / 8;
      CHECK(scaled >= std::min(side, cover));
    }
  }
}

TEST_CASE("other formats keep their size") {
  for (const char* name : {"rgb.png", "still.gif", "rgb.bmp", "lossy.webp"}) {
    CHECK(vsearch::decode_image(picture_bytes(name), name, covering(1, 1)).width_px == 24);
  }
}

TEST_CASE("transparent pixels show the chosen background") {
  DecodeOptions options;
  options.background = {10, 200, 30};
  const auto pixel = [&options](const char* name, std::size_t index) {
    const Image image = vsearch::decode_image(picture_bytes(name), name, options);
    const std::uint8_t* const at = image.pixels.data() + index * 3;
    return std::array<std::uint8_t, 3>{at[0], at[1], at[2]};
  };
  // Their alpha is the number of the pixel; the transparent corner of the others is at the top
  // left.
  for (const char* name :
       {"rgba.png", "rgba16.png", "interlaced-alpha.png", "grey-alpha.png", "lossless-alpha.webp",
        "lossy-alpha.webp", "colour-key.png", "transparent.gif", "animated-part.webp"}) {
    CAPTURE(name);
    CHECK(pixel(name, 0) == options.background);
  }
  // Pixel 51 has an alpha of 51 / 255 = 0.2 over red.
  CHECK(pixel("rgba.png", 51) == std::array<std::uint8_t, 3>{52, 164, 30});
  CHECK(pixel("rgb.png", 51) == std::array<std::uint8_t, 3>{220, 20, 30});
}

TEST_CASE("a truncated JPEG is an error unless the caller is lenient") {
  DecodeOptions lenient;
  lenient.lenient = true;
  for (const char* name : {"wide.jpg", "wide-on-side.jpg"}) {
    const auto whole = picture_bytes(name);
    const auto half = std::span(whole).first(whole.size() / 2);
    const Image full = vsearch::decode_image(whole);
    CHECK_THAT(error_message(ErrorCode::kBadImage, [&] { vsearch::decode_image(half, "a.jpg"); }),
               Catch::StartsWith("a.jpg: truncated JPEG (Premature end of JPEG file)"));
    const Image part = vsearch::decode_image(half, "a.jpg", lenient);
    REQUIRE(part.pixels.size() == full.pixels.size());
    std::size_t equal = 0;
    for (std::size_t i = 0; i < full.pixels.size(); ++i) {
      equal += part.pixels[i] == full.pixels[i] ? 1 : 0;
    }
    CHECK(equal > full.pixels.size() / 3);
    CHECK(equal < full.pixels.size());
    CHECK(vsearch::decode_image(half, "a.jpg", lenient).pixels == part.pixels);
  }
}

TEST_CASE("a JPEG with a warning is an error unless the caller is lenient") {
  auto jpeg = picture_bytes("wide.jpg");
  jpeg.insert(jpeg.begin() + 20, 5, std::byte{0});  // between two segments: after the JFIF header
  CHECK(error_message(ErrorCode::kBadImage, [&] { vsearch::decode_image(jpeg, "a.jpg"); }) ==
        "a.jpg: damaged or unsupported JPEG (Corrupt JPEG data: 5 extraneous bytes before marker "
        "0xdb); copy or export the picture again");
  DecodeOptions lenient;
  lenient.lenient = true;
  CHECK(vsearch::decode_image(jpeg, "a.jpg", lenient).pixels ==
        vsearch::decode_image(picture_bytes("wide.jpg")).pixels);
  // What holds no picture at all is an error in any case.
  CHECK_THAT(
      error_message(ErrorCode::kBadImage,
                    [&] { vsearch::decode_image(std::span(jpeg).first(100), "a.jpg", lenient); }),
      Catch::StartsWith("a.jpg: "));
}

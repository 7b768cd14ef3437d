#include "vsearch/image.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "image/exif.h"
#include "support/bmp.h"
#include "support/pictures.h"
#include "support/temp_dir.h"
#include "util/sha256.h"
#include "vsearch/error.h"

using vsearch::DecodeLimits;
using vsearch::Error;
using vsearch::ErrorCode;
using vsearch::Image;
using vsearch_test::picture_bytes;
using vsearch_test::picture_path;

namespace {

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// What a failing call says: its code and its whole message.
template <class Call>
Error error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  throw std::logic_error("unreachable");
}

void check_error(const Error& error, ErrorCode code, const std::string& message) {
  CHECK(error.code() == code);
  CHECK(std::string(error.what()) == message);
}

}  // namespace

TEST_CASE("every picture decodes to the pixels that Pillow gives") {
  std::ifstream file(picture_path("expected.json"));
  const nlohmann::json expected = nlohmann::json::parse(file);
  REQUIRE(expected.size() > 25);
  for (const auto& [name, value] : expected.items()) {
    CAPTURE(name);
    const Image image = vsearch::read_image(picture_path(name));
    CHECK(image.width_px == value["width"]);
    CHECK(image.height_px == value["height"]);
    CHECK(vsearch::util::sha256_hex(std::as_bytes(std::span(image.pixels))) == value["sha256"]);
  }
}

TEST_CASE("the content decides the format, not the name") {
  vsearch_test::TempDir dir;
  const Image expected = vsearch::read_image(picture_path("rgb.png"));
  vsearch_test::write_file(dir / "misnamed.jpg", picture_bytes("rgb.png"));
  CHECK(vsearch::read_image(dir / "misnamed.jpg").pixels == expected.pixels);
}

TEST_CASE("a picture cut anywhere is an error") {
  for (const char* name : {"420.jpg", "progressive.jpg", "cmyk.jpg", "rgb.png", "interlaced.png",
                           "palette.png", "still.gif", "rgb.bmp", "palette.bmp", "bilevel.bmp",
                           "lossy.webp", "lossless.webp", "lossy-alpha.webp", "animated.webp"}) {
    const auto whole = picture_bytes(name);
    CAPTURE(name);
    std::size_t accepted = 0;
    // A GIF needs its trailer as little as the padding of a BMP's last row is needed.
    const std::size_t optional_bytes = std::string_view(name).ends_with(".gif")   ? 1
                                       : std::string_view(name).ends_with(".bmp") ? 3
                                                                                  : 0;
    for (std::size_t size = 0; size + optional_bytes < whole.size(); ++size) {
      try {
        vsearch::decode_image(std::span(whole).first(size));
        ++accepted;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kBadImage) ++accepted;
      }
    }
    CHECK(accepted == 0);
  }
}

TEST_CASE("a damaged byte in a PNG is an error") {
  auto bytes = picture_bytes("rgb.png");
  bytes[bytes.size() / 2] ^= std::byte{1};
  check_error(
      error_of([&] { vsearch::decode_image(bytes, "a.png"); }), ErrorCode::kBadImage,
      "a.png: damaged or unsupported PNG (wrong checksum of its IDAT chunk); copy or export "
      "the picture again");
}

TEST_CASE("messages name the picture, what is wrong and what to do") {
  const auto decode = [](std::span<const std::byte> bytes, const char* name) {
    return error_of([&] { vsearch::decode_image(bytes, name); });
  };
  check_error(decode({}, "empty.jpg"), ErrorCode::kBadImage,
              "empty.jpg: the file is empty; copy or export the picture again");
  check_error(decode(as_bytes("just a text"), "notes.jpg"), ErrorCode::kBadImage,
              "notes.jpg: not a JPEG, PNG, GIF, BMP or WebP (it begins with 6a 75 73 74); give a "
              "picture in one of these formats");
  check_error(decode(as_bytes("<!DOCTYPE html>\n<html>"), "shoe.jpg"), ErrorCode::kBadImage,
              "shoe.jpg: a web page is not supported by this version; convert it to JPEG or PNG");
  check_error(decode(picture_bytes("small.tiff"), "scan.tiff"), ErrorCode::kBadImage,
              "scan.tiff: TIFF is not supported by this version; convert it to JPEG or PNG");

  const auto jpeg = picture_bytes("420.jpg");
  check_error(decode(std::span(jpeg).first(jpeg.size() - 40), "cut.jpg"), ErrorCode::kBadImage,
              "cut.jpg: truncated JPEG (Premature end of JPEG file); copy or export the picture "
              "again");
  const auto gif = picture_bytes("still.gif");
  check_error(decode(std::span(gif).first(200), "cut.gif"), ErrorCode::kBadImage,
              "cut.gif: truncated GIF (it ends at byte 200, in the middle of the picture); copy or "
              "export the picture again");
}

TEST_CASE("files that cannot be read are errors of their own kind") {
  vsearch_test::TempDir dir;
  const std::string missing = (dir / "missing.jpg").string();
  check_error(error_of([&] { vsearch::read_image(missing); }), ErrorCode::kFileNotFound,
              missing + ": no such file; check the path");
  check_error(error_of([&] { vsearch::read_image(dir.path()); }), ErrorCode::kIo,
              dir.path().string() + ": a folder, not a picture; name a file");
}

TEST_CASE("the limits hold before memory is taken") {
  const auto jpeg = picture_bytes("420.jpg");
  DecodeLimits few_pixels;
  few_pixels.max_pixels = 24 * 16 - 1;
  for (const char* name : {"420.jpg", "rgb.png", "still.gif", "rgb.bmp"}) {
    check_error(
        error_of([&] { vsearch::decode_image(picture_bytes(name), name, {.limits = few_pixels}); }),
        ErrorCode::kBadImage,
        std::string(name) +
            ": 24 x 16 pixels are more than the limit of 383 pixels; scale the picture "
            "down or raise DecodeLimits::max_pixels");
  }
  few_pixels.max_pixels = 24 * 16;
  CHECK_NOTHROW(vsearch::decode_image(jpeg, "a.jpg", {.limits = few_pixels}));

  DecodeLimits few_bytes;
  few_bytes.max_bytes = jpeg.size() - 1;
  const std::string path = picture_path("420.jpg").string();
  const std::string message = ": the file is larger than the limit of " +
                              std::to_string(jpeg.size() - 1) +
                              " bytes; make the picture smaller or raise DecodeLimits::max_bytes";
  check_error(error_of([&] { vsearch::decode_image(jpeg, "a.jpg", {.limits = few_bytes}); }),
              ErrorCode::kBadImage, "a.jpg" + message);
  check_error(error_of([&] { vsearch::read_image(path, {.limits = few_bytes}); }),
              ErrorCode::kBadImage, path + message);
  few_bytes.max_bytes = jpeg.size();
  CHECK_NOTHROW(vsearch::read_image(path, {.limits = few_bytes}));
}

TEST_CASE("headers that promise too much are refused") {
  auto jpeg = picture_bytes("420.jpg");
  for (std::size_t i = 0; i + 1 < jpeg.size(); ++i) {  // the frame header: height, then width
    if (jpeg[i] == std::byte{0xFF} && jpeg[i + 1] == std::byte{0xC0}) {
      for (std::size_t at = i + 5; at < i + 9; ++at) jpeg[at] = std::byte{0xFD};
      break;
    }
  }
  CHECK_THAT(error_of([&] { vsearch::decode_image(jpeg, "a.jpg"); }).what(),
             Catch::StartsWith("a.jpg: 65021 x 65021 pixels are more than the limit"));
  CHECK_THAT(error_of([&] { vsearch::decode_image(picture_bytes("bomb.png"), "bomb.png"); }).what(),
             Catch::StartsWith("bomb.png: damaged or unsupported PNG (IDAT: Too much image data)"));
  auto bmp = picture_bytes("rgb.bmp");
  for (std::size_t at = 18; at < 26; ++at) bmp[at] = std::byte{0x7F};  // width and height
  CHECK_THAT(error_of([&] { vsearch::decode_image(bmp, "a.bmp"); }).what(),
             Catch::StartsWith("a.bmp: truncated BMP"));
}

TEST_CASE("a broken EXIF block leaves the picture as it is") {
  const auto upright = vsearch::decode_image(picture_bytes("orientation-1.jpg"));
  auto bytes = picture_bytes("orientation-6.jpg");
  REQUIRE(vsearch::image::exif_orientation(bytes) == 6);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t tiff = text.find(std::string_view("Exif\0\0", 6)) + 6;
  REQUIRE(tiff < bytes.size());
  // Each byte of the TIFF header and of its only entry, with all values that could lead astray.
  for (std::size_t at = tiff; at < tiff + 22; ++at) {
    const std::byte kept = bytes[at];
    for (const int value : {0, 1, 9, 0x7F, 0xFF}) {
      bytes[at] = static_cast<std::byte>(value);
      const int orientation = vsearch::image::exif_orientation(bytes);
      CHECK((orientation >= 1 && orientation <= 8));
    }
    bytes[at] = kept;
  }
  bytes[tiff + 4] = std::byte{0xFF};  // the directory lies beyond the end
  CHECK(vsearch::image::exif_orientation(bytes) == 1);
  CHECK(vsearch::decode_image(bytes).pixels == upright.pixels);
}

TEST_CASE("has_image_extension looks at the end of the name in any case") {
  for (const char* name :
       {"a.jpg", "a.JPG", "b.c.jpeg", "dir.png/a.Png", "a.gif", "a.bmp", "a.WebP"}) {
    CHECK(vsearch::has_image_extension(name));
  }
  for (const char* name : {"a", "jpg", ".jpg", "a.jpg.txt", "a.tiff", "dir.png/a", ""}) {
    CHECK_FALSE(vsearch::has_image_extension(name));
  }
}

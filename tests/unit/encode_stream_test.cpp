// encode_stream() and encode_files(), with an encoder that needs no torch.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/bmp.h"
#include "support/errors.h"
#include "support/fake_encoder.h"
#include "support/temp_dir.h"
#include "vsearch/encoder.h"

namespace fs = std::filesystem;
using vsearch::EncodedFiles;
using vsearch::EncodeInput;
using vsearch::Error;
using vsearch::ErrorCode;
using vsearch_test::error_message;
using vsearch_test::FakeEncoder;
using vsearch_test::plain_bmp;
using vsearch_test::TempDir;

namespace {

vsearch_test::Rgb colour(std::size_t i) {
  return {static_cast<std::uint8_t>(i * 37), static_cast<std::uint8_t>(i / 7), 200};
}

std::vector<float> expected(std::size_t i) {
  const vsearch::Image image = vsearch::decode_image(plain_bmp(colour(i)));
  const vsearch::ImageView view = image.view();
  return FakeEncoder().encode({&view, 1}).data;
}

// Gives `count` pictures by turns as a file, as the bytes of one and as pixels.
class MixedSource {
 public:
  MixedSource(const TempDir& dir, std::size_t count) : dir_(dir), count_(count) {}

  std::optional<EncodeInput> operator()() {
    if (next_ == count_) return std::nullopt;
    const std::size_t i = next_++;
    const std::vector<std::byte> file = plain_bmp(colour(i));
    if (i % 3 == 1) return file;
    if (i % 3 == 2) return vsearch::decode_image(file);
    const fs::path path = dir_ / (std::to_string(i) + ".bmp");
    vsearch_test::write_file(path, file);
    return path;
  }

  std::size_t given() const { return next_; }

 private:
  const TempDir& dir_;
  std::size_t count_;
  std::size_t next_ = 0;
};

// Refuses pictures one pixel wide, and counts how many it is given at a time.
class PickyEncoder : public FakeEncoder {
 public:
  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    for (const vsearch::ImageView& image : images) {
      if (image.width_px == 1) throw Error(ErrorCode::kBadImage, "picture 1: too narrow");
    }
    return FakeEncoder::encode(images, progress);
  }
};

}  // namespace

TEST_CASE("results come in the order of the source, whatever the pictures come as") {
  TempDir dir;
  constexpr std::size_t kPictures = 400;
  MixedSource source(dir, kPictures);
  const std::thread::id caller = std::this_thread::get_id();
  std::size_t next = 0;
  bool right = true;
  vsearch::encode_stream(
      FakeEncoder(), [&] { return source(); },
      [&](std::size_t index, std::span<const float> embedding, const Error* failure) {
        right = right && index == next++ && failure == nullptr &&
                std::ranges::equal(embedding, expected(index)) &&
                std::this_thread::get_id() == caller;
        return true;
      });
  CHECK(next == kPictures);
  CHECK(right);
}

TEST_CASE("an endless source is read in step with its results") {
  TempDir dir;
  MixedSource source(dir, 100000);
  std::size_t furthest_ahead = 0;
  CHECK(error_message(ErrorCode::kCancelled, [&] {
          vsearch::encode_stream(
              FakeEncoder(), [&] { return source(); },
              [&](std::size_t index, std::span<const float>, const Error*) {
                furthest_ahead = std::max(furthest_ahead, source.given() - index);
                return index < 999;
              });
        }) == "encoding was cancelled after 1000 pictures");
  CHECK(furthest_ahead <= 256);
}

TEST_CASE("a bad picture is reported and the others are encoded") {
  TempDir dir;
  std::vector<fs::path> files;
  for (std::size_t i = 0; i < 150; ++i) {
    files.push_back(dir / (std::to_string(i) + ".bmp"));
    vsearch_test::write_file(files.back(), plain_bmp(colour(i)));
  }
  vsearch_test::write_file(files[70], std::vector<std::byte>(10));
  files[100] = dir / "missing.jpg";
  files[149] = dir.path();

  std::vector<std::uint64_t> done;
  const EncodedFiles result =
      vsearch::encode_files(FakeEncoder(), files, {}, [&](std::uint64_t now, std::uint64_t total) {
        CHECK(total == 150);
        done.push_back(now);
        return true;
      });
  REQUIRE(result.failures.size() == 3);
  CHECK(result.failures[0].index == 70);
  CHECK(result.failures[0].error.code() == ErrorCode::kBadImage);
  CHECK_THAT(result.failures[0].error.what(), Catch::StartsWith(files[70].string() + ": "));
  CHECK(result.failures[1].index == 100);
  CHECK(result.failures[1].error.code() == ErrorCode::kFileNotFound);
  CHECK(result.failures[2].index == 149);
  CHECK(result.failures[2].error.code() == ErrorCode::kIo);
  REQUIRE(result.embeddings.rows == 150);
  for (std::size_t i = 0; i < 150; ++i) {
    const std::span<const float> row = result.embeddings.row(i);
    if (i == 70 || i == 100 || i == 149) {
      CHECK(std::ranges::all_of(row, [](float value) { return std::isnan(value); }));
    } else {
      CHECK(std::ranges::equal(row, expected(i)));
    }
  }
  CHECK(std::ranges::is_sorted(done));
  REQUIRE_FALSE(done.empty());
  CHECK(done.back() == 150);
}

TEST_CASE("a picture that the encoder refuses is found among the others") {
  TempDir dir;
  std::vector<fs::path> files;
  for (std::size_t i = 0; i < 20; ++i) {
    files.push_back(dir / (std::to_string(i) + ".bmp"));
    vsearch_test::write_file(files.back(), plain_bmp(colour(i), i == 7 ? 1 : 8));
  }
  const EncodedFiles result = vsearch::encode_files(PickyEncoder(), files);
  REQUIRE(result.failures.size() == 1);
  CHECK(result.failures[0].index == 7);
  CHECK(std::string(result.failures[0].error.what()) == files[7].string() + ": too narrow");
  CHECK(std::ranges::equal(std::as_const(result.embeddings).row(8), expected(8)));
}

TEST_CASE("encoding can be stopped between results") {
  TempDir dir;
  MixedSource source(dir, 1000);
  vsearch::EncodeOptions options;
  int asked = 0;
  options.go_on = [&] { return ++asked < 3; };
  std::size_t results = 0;
  CHECK_THAT(error_message(ErrorCode::kCancelled,
                           [&] {
                             vsearch::encode_stream(
                                 FakeEncoder(), [&] { return source(); },
                                 [&](std::size_t, std::span<const float>, const Error*) {
                                   ++results;
                                   return true;
                                 },
                                 options);
                           }),
             Catch::StartsWith("encoding was cancelled"));
  CHECK(results == 0);  // stopped within the first batch
}

TEST_CASE("limits hold for each picture") {
  TempDir dir;
  const std::vector<fs::path> files{dir / "small.bmp", dir / "large.bmp"};
  vsearch_test::write_file(files[0], plain_bmp(colour(0), 8));
  vsearch_test::write_file(files[1], plain_bmp(colour(1), 9));
  vsearch::EncodeOptions options;
  options.limits.max_pixels = 64;
  const EncodedFiles result = vsearch::encode_files(FakeEncoder(), files, options);
  REQUIRE(result.failures.size() == 1);
  CHECK(result.failures[0].index == 1);
  CHECK_THAT(result.failures[0].error.what(),
             Catch::Contains("9 x 9 pixels are more than the limit of 64 pixels"));
}

TEST_CASE("what the source or the sink throws comes through") {
  const auto endless = []() -> std::optional<EncodeInput> { return plain_bmp(colour(1)); };
  const auto take_all = [](std::size_t, std::span<const float>, const Error*) { return true; };
  int asked = 0;
  CHECK_THROWS_WITH(vsearch::encode_stream(
                        FakeEncoder(),
                        [&]() -> std::optional<EncodeInput> {
                          if (++asked == 200) throw std::runtime_error("the camera fell down");
                          return plain_bmp(colour(1));
                        },
                        take_all),
                    "the camera fell down");
  CHECK_THROWS_WITH(
      vsearch::encode_stream(FakeEncoder(), endless,
                             [](std::size_t, std::span<const float>, const Error*) -> bool {
                               throw std::runtime_error("the disk is full");
                             }),
      "the disk is full");
}

TEST_CASE("no pictures give no embeddings") {
  const EncodedFiles result = vsearch::encode_files(FakeEncoder(), {});
  CHECK(result.embeddings.rows == 0);
  CHECK(result.failures.empty());
}

TEST_CASE("decode_options cover the resize and no more") {
  vsearch::Preprocessing preprocessing;
  preprocessing.resize_edge = vsearch::ResizeEdge::kStretch;
  preprocessing.resize_width_px = 300;
  CHECK(vsearch::decode_options(preprocessing).cover_width_px == 300);
  CHECK(vsearch::decode_options(preprocessing).cover_height_px == 256);
  CHECK(vsearch::decode_options(preprocessing, true).cover_width_px == 0);
  preprocessing.resize_edge = vsearch::ResizeEdge::kNone;
  CHECK(vsearch::decode_options(preprocessing).cover_height_px == 0);
}

TEST_CASE("an encoder without words or tokens says so") {
  const std::string text = "a red shoe";
  CHECK(error_message(ErrorCode::kUnavailable,
                      [&] {
                        FakeEncoder().encode_text({&text, 1});
                      }) ==
        "the encoder fake-grid cannot encode words; use a model with a text tower, such as CLIP "
        "(docs/models.md), or learn words from the titles of a catalogue (vsx train-text, "
        "docs/training.md)");
  CHECK_THAT(error_message(ErrorCode::kUnavailable, [&] { FakeEncoder().encode_tokens({}); }),
             Catch::StartsWith("the encoder fake-grid gives no local tokens; "));
}

TEST_CASE("precisions have names") {
  using vsearch::Precision;
  for (const Precision precision : {Precision::kAuto, Precision::kFloat32, Precision::kBFloat16,
                                    Precision::kFloat16, Precision::kInt8}) {
    CHECK(vsearch::find_precision(vsearch::precision_name(precision)) == precision);
  }
  CHECK_FALSE(vsearch::find_precision("fp64"));
}

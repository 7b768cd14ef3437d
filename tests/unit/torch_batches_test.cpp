// Batches that are made ahead, against the same made by hand.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "encoder/torch_preprocess.h"
#include "eval/seeded.h"
#include "support/bmp.h"
#include "support/errors.h"
#include "support/temp_dir.h"
#include "train/augmentation.h"
#include "train/batches.h"
#include "train/sampler.h"

using Catch::Matchers::Contains;
using vsearch::Augmentation;
using vsearch::Dataset;
using vsearch::ErrorCode;
using vsearch::Image;
using vsearch::Preprocessing;
using vsearch_test::error_message;
using vsearch_test::TempDir;
using namespace vsearch::training;

namespace {

using BatchRows = std::vector<std::vector<std::uint32_t>>;

constexpr std::uint32_t kPictures = 12;

// A coloured disc before a patterned ground; of many sizes.
std::vector<std::byte> disc_bmp(std::uint32_t number) {
  const std::uint32_t width = 50 + number * 7;
  const std::uint32_t height = 90 - number * 3;
  return vsearch_test::bmp(width, height, [=](std::uint32_t x, std::uint32_t y) {
    const double dx = static_cast<double>(x) / width - 0.5;
    const double dy = static_cast<double>(y) / height - 0.5;
    if (dx * dx + dy * dy < 0.06) {
      return vsearch_test::Rgb{static_cast<std::uint8_t>(20 * number), 220, 40};
    }
    const auto shade = static_cast<std::uint8_t>(90 + (x / 4 + y / 4 + number) % 3);
    return vsearch_test::Rgb{shade, shade, static_cast<std::uint8_t>(150 + number)};
  });
}

struct Shelf {
  Shelf() {
    dataset.root = folder.path();
    for (std::uint32_t i = 0; i < kPictures; ++i) {
      vsearch::DatasetPicture picture;
      picture.path = fmt_name(i);
      if (i % 3 == 1) picture.crop = {0.1F, 0.0F, 0.9F, 0.9F};
      vsearch_test::write_file(folder / picture.path, disc_bmp(i));
      dataset.pictures.push_back(picture);
    }
    // In another order than in the data set, and not all of them.
    pictures.dataset = &dataset;
    for (std::uint32_t i = kPictures; i-- > 1;) {
      pictures.pictures.push_back(i);
      pictures.labels.push_back(static_cast<std::int32_t>(i % 4));
    }
    network.width_px = 24;
    network.height_px = 20;
    network.resize_width_px = network.resize_height_px = 28;
  }

  static std::string fmt_name(std::uint32_t number) {
    return "picture-" + std::to_string(number) + ".bmp";
  }

  TempDir folder;
  Dataset dataset;
  LabelledPictures pictures;
  Preprocessing network;
};

const BatchRows kEpoch{{0, 3, 5}, {10, 1, 1}, {2, 4}, {6, 7, 8}, {9, 0}};

BatchSettings with_threads(std::uint32_t threads) {
  BatchSettings settings;
  settings.threads = threads;
  settings.augmentation.greyscale = 0.3;
  settings.augmentation.erase = 0.3;
  return settings;
}

std::vector<Batch> all_batches(BatchLoader& loader, std::uint32_t epoch,
                               const BatchRows& rows = kEpoch) {
  loader.start(epoch, rows);
  std::vector<Batch> result;
  while (std::optional<Batch> batch = loader.next()) result.push_back(*std::move(batch));
  return result;
}

bool same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return std::ranges::equal(a, b, [](const Batch& x, const Batch& y) {
    return x.rows == y.rows && at::equal(x.labels, y.labels) && at::equal(x.pixels, y.pixels);
  });
}

}  // namespace

TEST_CASE("batches are what augmenting and preparing by hand gives") {
  const Shelf shelf;
  for (const bool random_crop : {true, false}) {
    BatchSettings settings = with_threads(2);
    settings.augmentation.random_crop = random_crop;
    settings.seed = 5;
    BatchLoader loader(shelf.pictures, shelf.network, settings);
    const std::vector<Batch> batches = all_batches(loader, 2);
    REQUIRE(batches.size() == kEpoch.size());

    const Preprocessing after = augmented_preprocessing(shelf.network, settings.augmentation);
    const vsearch::encoder::PixelPreparer preparer(after);
    const std::uint32_t shorter = kept_shorter_px(shelf.network, settings.augmentation);
    CHECK(shorter == 33);  // 28 * 1.15
    std::uint64_t position = 0;
    for (std::size_t b = 0; b < batches.size(); ++b) {
      const Batch& batch = batches[b];
      CHECK(batch.rows == kEpoch[b]);
      const auto count = static_cast<std::int64_t>(kEpoch[b].size());
      REQUIRE(batch.pixels.sizes() == at::IntArrayRef({count, 3, 20, 24}));
      REQUIRE(batch.pixels.scalar_type() == at::kFloat);
      REQUIRE(batch.labels.scalar_type() == at::kLong);
      CHECK_FALSE(batch.pixels.is_inference());  // autograd keeps them
      for (std::int64_t i = 0; i < count; ++i, ++position) {
        const std::uint32_t row = kEpoch[b][static_cast<std::size_t>(i)];
        const std::uint32_t number = shelf.pictures.pictures[row];
        CHECK(batch.labels[i].item<std::int64_t>() == number % 4);
        const Image read = read_training_picture(shelf.dataset, number, shorter);
        CHECK(std::min(read.width_px, read.height_px) == shorter);
        const Image changed =
            augment(read.view(), settings.augmentation, derived_seed(derived_seed(5, 2), position));
        const vsearch::ImageView view = changed.view();
        CHECK(at::equal(batch.pixels[i], preparer.prepare({&view, 1}, 0)[0]));
      }
    }
  }
}

TEST_CASE("batches do not depend on the number of threads or the size of the cache") {
  const Shelf shelf;
  for (const double new_background : {0.0, 0.7}) {
    BatchSettings settings = with_threads(1);
    settings.augmentation.new_background = new_background;
    BatchLoader one(shelf.pictures, shelf.network, settings);
    const std::vector<Batch> first = all_batches(one, 1);
    const std::vector<Batch> second = all_batches(one, 2);
    CHECK_FALSE(same(first, second));
    CHECK(same(all_batches(one, 1), first));  // from the cache, and any number of times

    settings.threads = 4;
    BatchLoader four(shelf.pictures, shelf.network, settings);
    CHECK(same(all_batches(four, 1), first));
    CHECK(same(all_batches(four, 2), second));

    for (const std::uint64_t cache_bytes : {std::uint64_t{0}, std::uint64_t{20'000}}) {
      settings.cache_bytes = cache_bytes;
      BatchLoader small(shelf.pictures, shelf.network, settings);
      CHECK(same(all_batches(small, 1), first));
      CHECK(same(all_batches(small, 2), second));
    }
  }
}

TEST_CASE("what does not fit into the cache is read again") {
  Shelf shelf;
  const BatchRows twice{{0}, {1}, {0}, {1}};
  const auto gone_after_an_epoch = [&](std::uint64_t cache_bytes) {
    BatchSettings settings = with_threads(1);
    settings.cache_bytes = cache_bytes;
    BatchLoader loader(shelf.pictures, shelf.network, settings);
    CHECK(all_batches(loader, 1, twice).size() == 4);
    for (const std::uint32_t row : {0, 1}) {
      std::filesystem::remove(shelf.folder / Shelf::fmt_name(shelf.pictures.pictures[row]));
    }
    std::size_t readable = 0;
    for (const std::uint32_t row : {0U, 1U}) {
      try {
        readable += all_batches(loader, 2, {{row}}).size();
      } catch (const vsearch::Error& error) {
        CHECK(error.code() == ErrorCode::kFileNotFound);
      }
    }
    for (const std::uint32_t row : {0, 1}) {
      const std::uint32_t number = shelf.pictures.pictures[row];
      vsearch_test::write_file(shelf.folder / Shelf::fmt_name(number), disc_bmp(number));
    }
    return readable;
  };
  const Image first =
      read_training_picture(shelf.dataset, shelf.pictures.pictures[0],
                            kept_shorter_px(shelf.network, with_threads(1).augmentation));
  CHECK(gone_after_an_epoch(0) == 0);
  CHECK(gone_after_an_epoch(first.pixels.size()) == 1);
  CHECK(gone_after_an_epoch(1 << 20) == 2);
}

TEST_CASE("a new background leaves the subject where it was") {
  const Shelf shelf;
  BatchSettings settings;
  settings.augmentation = {false, false, 0.0, 0.0, 0.0, 0.0};
  BatchLoader plain(shelf.pictures, shelf.network, settings);
  settings.augmentation.new_background = 1.0;
  BatchLoader changed(shelf.pictures, shelf.network, settings);
  const BatchRows rows{{0, 1, 2, 3, 4, 5}};
  const at::Tensor before = all_batches(plain, 1, rows)[0].pixels;
  const at::Tensor after = all_batches(changed, 1, rows)[0].pixels;
  // The middle of each picture is its disc; the corner is ground.
  const at::Tensor moved = (before - after).narrow(2, 9, 2).narrow(3, 11, 2).abs().amax({1, 2, 3});
  for (int i = 0; i < 6; ++i) CHECK(moved[i].item<double>() < 0.01);
  CHECK_FALSE(at::equal(before.narrow(2, 0, 3), after.narrow(2, 0, 3)));
  // Behind it is ground again, not another's disc: green stays low in the corners.
  const double green = after.select(1, 1).narrow(1, 0, 2).narrow(2, 0, 2).max().item<double>();
  CHECK(green < (150.0 / 255 - 0.456) / 0.224);
}

TEST_CASE("a picture that is missing leaves its place to the next of its batch") {
  Shelf shelf;
  std::filesystem::remove(shelf.folder / "picture-4.bmp");  // row 7
  shelf.pictures.labels[7] = 70;
  shelf.pictures.labels[2] = 20;
  for (const std::uint32_t threads : {1U, 4U}) {
    BatchLoader loader(shelf.pictures, shelf.network, with_threads(threads));
    for (const BatchRows& rows : {BatchRows{{7, 2, 0}}, BatchRows{{2, 0, 7}}}) {
      const std::vector<Batch> found = all_batches(loader, 1, rows);
      REQUIRE(found.size() == 1);
      const std::size_t lost = rows[0][0] == 7 ? 0 : 2;
      const std::size_t other = rows[0][0] == 7 ? 1 : 0;
      const auto* const labels = found[0].labels.const_data_ptr<std::int64_t>();
      CHECK(labels[lost] == 20);
      CHECK(labels[other] == 20);
      CHECK(found[0].pixels.isfinite().all().item<bool>());
    }
    REQUIRE(loader.lost().size() == 1);
    CHECK_THAT(loader.lost()[0], Contains("picture-4.bmp"));
  }
}

TEST_CASE("few pictures that are left are not learned by heart") {
  const Shelf shelf;
  std::filesystem::remove(shelf.folder / "picture-4.bmp");  // row 7
  BatchLoader loader(shelf.pictures, shelf.network, with_threads(1));
  CHECK(all_batches(loader, 1, {{7, 7, 0, 1}}).size() == 1);
  CHECK_THAT(error_message(ErrorCode::kFileNotFound,
                           [&] {
                             all_batches(loader, 2, {{7, 7, 0, 7, 1}});
                           }),
             Contains("picture-4.bmp"));
}

TEST_CASE("where no picture of a batch can be read one is named, and the epoch is over") {
  const Shelf shelf;
  std::filesystem::remove(shelf.folder / "picture-4.bmp");  // row 7
  for (const std::uint32_t threads : {1U, 4U}) {
    BatchLoader loader(shelf.pictures, shelf.network, with_threads(threads));
    loader.start(1, {{0, 1}, {2}, {3, 4}, {7}, {5}});
    for (int i = 0; i < 3; ++i) CHECK(loader.next().has_value());
    CHECK_THAT(error_message(ErrorCode::kFileNotFound, [&] { loader.next(); }),
               Contains("picture-4.bmp"));
    CHECK_FALSE(loader.next().has_value());
    CHECK(all_batches(loader, 2, {{0, 1}, {2}}).size() == 2);  // and another can begin
  }
}

TEST_CASE("a picture that is too long and narrow is named") {
  Shelf shelf;
  vsearch_test::write_file(shelf.folder / "picture-9.bmp",
                           vsearch_test::bmp(1, 200'000, [](std::uint32_t, std::uint32_t) {
                             return vsearch_test::Rgb{1, 2, 3};
                           }));
  shelf.network.resize_height_px = 64;
  BatchSettings settings = with_threads(1);
  settings.augmentation.random_crop = false;
  BatchLoader loader(shelf.pictures, shelf.network, settings);
  loader.start(1, {{2}});
  CHECK_THAT(error_message(ErrorCode::kBadImage, [&] { loader.next(); }),
             Contains("picture-9.bmp") && Contains("too long and narrow"));
}

TEST_CASE("a loader may go, or begin anew, in the middle of an epoch") {
  const Shelf shelf;
  for (int i = 0; i < 20; ++i) {
    BatchLoader loader(shelf.pictures, shelf.network, with_threads(3));
    loader.start(1, kEpoch);
    if (i % 2 == 0) CHECK(loader.next().has_value());
    if (i % 4 == 0) CHECK(all_batches(loader, 2).size() == kEpoch.size());
    if (i % 5 == 0) loader.start(3, kEpoch);
  }
  BatchLoader idle(shelf.pictures, shelf.network, with_threads(2));
  CHECK_FALSE(idle.next().has_value());
  idle.start(1, {});
  CHECK_FALSE(idle.next().has_value());
}

TEST_CASE("the loader leaves the number of torch's threads as it is") {
  const Shelf shelf;
  const int before = at::get_num_threads();
  BatchLoader loader(shelf.pictures, shelf.network, with_threads(2));
  CHECK(all_batches(loader, 1).size() == kEpoch.size());
  CHECK(at::get_num_threads() == before);
}

TEST_CASE("pictures are read in the size that is kept") {
  const Shelf shelf;
  // 71 x 81 pixels; the crop has 0.1 to 0.9 of the width where there is one.
  const Image whole = read_training_picture(shelf.dataset, 3, 0);
  CHECK(whole.width_px == 71);
  CHECK(whole.height_px == 81);
  const Image small = read_training_picture(shelf.dataset, 3, 50);
  CHECK(small.width_px == 50);
  CHECK(small.height_px == 57);
  const Image never_larger = read_training_picture(shelf.dataset, 3, 500);
  CHECK(never_larger.pixels == whole.pixels);
  // Picture 4 is 78 x 78.
  const Image part = read_training_picture(shelf.dataset, 4, 0);
  CHECK(part.width_px == 64);   // 7 to 71
  CHECK(part.height_px == 71);  // 0 to 71

  Preprocessing stretch;
  stretch.resize_edge = vsearch::ResizeEdge::kStretch;
  stretch.resize_width_px = 200;
  stretch.resize_height_px = 100;
  CHECK(kept_shorter_px(stretch, {}) == 230);
  Preprocessing as_it_is;
  as_it_is.resize_edge = vsearch::ResizeEdge::kNone;
  CHECK(kept_shorter_px(as_it_is, {}) == 258);
  Augmentation no_crop;
  no_crop.random_crop = false;
  CHECK(kept_shorter_px(as_it_is, no_crop) == 0);
}

TEST_CASE("batches that make no sense are refused") {
  const Shelf shelf;
  LabelledPictures unlabelled = shelf.pictures;
  unlabelled.labels.pop_back();
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] { BatchLoader(unlabelled, shelf.network, with_threads(1)); }),
             Contains("10 labels for 11 training pictures"));
  BatchSettings wrong = with_threads(1);
  wrong.augmentation.erase = 3;
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] { BatchLoader(shelf.pictures, shelf.network, wrong); }),
             Contains("erase is 3"));
  BatchLoader loader(shelf.pictures, shelf.network, with_threads(1));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] {
                             loader.start(1, {{0}, {11}});
                           }),
             Contains("row 11") && Contains("11 training pictures"));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { loader.start(1, {{}}); }),
             Contains("empty"));
}

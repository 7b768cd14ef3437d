// Embeddings of pictures that are kept from one run to the next.
#include "eval/embedding_cache.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/bmp.h"
#include "support/fake_encoder.h"
#include "support/temp_dir.h"
#include "vsearch/evaluator.h"

namespace fs = std::filesystem;
using vsearch::Dataset;
using vsearch::EvaluationOptions;
using vsearch::Matrix;
using vsearch::eval::EmbeddingCache;
using vsearch::eval::PictureKey;
using vsearch_test::TempDir;

namespace {

constexpr std::size_t kCachedDim = 3;

struct Opened {
  Opened(const fs::path& folder, const std::vector<PictureKey>& keys)
      : rows(keys.size(), kCachedDim), known(keys.size(), false) {
    cache.emplace(folder, "model", keys, rows, known);
  }
  void add(std::uint32_t picture, float value) {
    const std::vector<float> row(kCachedDim, value);
    cache->add(picture, row);
  }
  Matrix rows;
  std::vector<bool> known;
  std::optional<EmbeddingCache> cache;
};

// Six pictures in two classes, and the first four of them.
Dataset pictures_in(const TempDir& dir) {
  for (std::uint8_t i = 0; i < 6; ++i) {
    const fs::path folder = dir / (i < 3 ? "a" : "b");
    fs::create_directories(folder);
    vsearch_test::write_file(folder / (std::to_string(i) + ".bmp"),
                             vsearch_test::plain_bmp({static_cast<std::uint8_t>(40 * i), 9, 9}));
  }
  return vsearch::load_dataset("folder", dir.path());
}

}  // namespace

TEST_CASE("what was added is known to whoever asks for the same pictures") {
  TempDir dir;
  const std::vector<PictureKey> keys{{1, 1}, {2, 2}, {3, 3}};
  {
    Opened first(dir.path(), keys);
    CHECK(first.known == std::vector<bool>{false, false, false});
    first.add(0, 5);
    first.add(2, 7);
  }
  {
    // In another order, among others, and one of them twice.
    Opened again(dir.path(), {{9, 9}, {3, 3}, {1, 1}, {3, 3}});
    CHECK(again.known == std::vector<bool>{false, true, true, true});
    CHECK(again.rows.row(1)[2] == 7);
    CHECK(again.rows.row(2)[0] == 5);
    CHECK(again.rows.row(3)[0] == 7);
    again.add(0, 1);
  }
  CHECK(Opened(dir.path(), {{9, 9}}).known[0]);
}

TEST_CASE("a record that is torn or damaged is made anew, with what comes after it") {
  TempDir dir;
  const std::vector<PictureKey> keys{{1, 1}, {2, 2}, {3, 3}};
  {
    Opened first(dir.path(), keys);
    for (std::uint32_t i = 0; i < 3; ++i) first.add(i, static_cast<float>(i));
  }
  const fs::path file = dir / "model.embeddings";
  const auto size = fs::file_size(file);
  SECTION("torn") {
    fs::resize_file(file, size - 5);
  }
  SECTION("damaged") {
    std::fstream bytes(file, std::ios::binary | std::ios::in | std::ios::out);
    bytes.seekp(static_cast<std::streamoff>(size) - 15);
    bytes.put('x');
  }
  Opened again(dir.path(), keys);
  CHECK(again.known == std::vector<bool>{true, true, false});
  again.add(2, 8);
  again.cache.reset();
  CHECK(Opened(dir.path(), keys).rows.row(2)[1] == 8);
}

TEST_CASE("a file of another kind is replaced") {
  TempDir dir;
  std::ofstream(dir / "model.embeddings") << "vsearch embeddings 1\nof an older version";
  {
    Opened first(dir.path(), {{1, 1}});
    CHECK_FALSE(first.known[0]);
    first.add(0, 4);
  }
  CHECK(Opened(dir.path(), {{1, 1}}).known[0]);
}

TEST_CASE("of two that have a cache open one adds, and both read") {
  TempDir dir;
  const std::vector<PictureKey> keys{{1, 1}, {2, 2}};
  Opened first(dir.path(), keys);
  first.add(0, 5);
  first.cache->flush();
  {
    Opened second(dir.path(), keys);
    CHECK(second.known == std::vector<bool>{true, false});
    second.add(1, 6);
    second.cache->flush();
  }
  first.add(1, 7);
  first.cache.reset();
  CHECK(Opened(dir.path(), keys).rows.row(1)[0] == 7);
}

TEST_CASE("pictures are encoded once, whatever data set they are in, and again when they change") {
  TempDir dir;
  TempDir cache;
  const Dataset all = pictures_in(dir);
  Dataset part = all;
  part.pictures.erase(part.pictures.begin());
  const vsearch_test::FakeEncoder encoder;
  EvaluationOptions options;
  options.cache = cache.path();
  CHECK(vsearch::embed_dataset(encoder, part, options).from_cache == 0);
  const auto found = vsearch::embed_dataset(encoder, all, options);
  CHECK(found.from_cache == 5);
  CHECK(found.rows.data == vsearch::embed_dataset(encoder, all).rows.data);

  const fs::path changed = dir / "b/4.bmp";
  vsearch_test::write_file(changed, vsearch_test::plain_bmp({1, 2, 3}));
  fs::last_write_time(changed, fs::last_write_time(changed) + std::chrono::seconds(1));
  CHECK(vsearch::embed_dataset(encoder, all, options).from_cache == 5);
  Dataset cropped = all;
  cropped.pictures[2].crop = {0.1F, 0.1F, 0.9F, 0.9F};
  CHECK(vsearch::embed_dataset(encoder, cropped, options).from_cache == 5);
  const vsearch_test::FakeEncoder other(std::string(64, '9'));
  CHECK(vsearch::embed_dataset(other, all, options).from_cache == 0);
}

TEST_CASE("embeddings come by otherwise are kept, but for those that are no numbers") {
  TempDir dir;
  const Dataset dataset = pictures_in(dir);
  const std::vector<PictureKey> keys = vsearch::eval::keys_of_pictures(dataset);
  Matrix rows(6, kCachedDim);
  std::ranges::fill(rows.data, 2.0F);
  rows.row(1)[0] = std::numeric_limits<float>::quiet_NaN();
  vsearch::eval::keep_embeddings(dir / "cache", "model", keys, rows);
  std::ranges::fill(rows.data, 3.0F);  // known ones stay
  vsearch::eval::keep_embeddings(dir / "cache", "model", keys, rows);
  const Opened opened(dir / "cache", keys);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(opened.known[i]);
    CHECK(opened.rows.row(i)[0] == (i == 1 ? 3.0F : 2.0F));
  }
}

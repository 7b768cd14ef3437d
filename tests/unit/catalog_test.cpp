#include "vsearch/catalog.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/errors.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::AddReport;
using vsearch::Catalog;
using vsearch::CatalogOptions;
using vsearch::ErrorCode;
using vsearch::Id;
using vsearch::Item;
using vsearch::Picture;

namespace {

namespace fs = std::filesystem;

// The key of the item nearest to `embedding`.
std::string nearest_key(const Catalog& catalog, std::span<const float> embedding) {
  const auto found = catalog.serving()->index().search(embedding, {.k = 1});
  if (found.empty()) return {};
  const auto records = catalog.pictures(std::vector<Id>{found[0].id});
  return records.empty() ? std::string() : records[0].key;
}

}  // namespace

TEST_CASE("what was added is there after closing and opening again") {
  TempDir dir;
  const fs::path path = dir / "shop.vsearch";
  write_file(dir / "red.bmp", plain_bmp({255, 0, 0}));
  write_file(dir / "blue.bmp", plain_bmp({0, 0, 255}));
  const std::vector<std::byte> green = plain_bmp({0, 255, 0});
  std::vector<Id> shirt_ids;
  {
    Catalog catalog = create_catalog(path);
    Item shirt = file_item("shirt", dir / "red.bmp", R"({ "price": 10, "colour" : "röd" })");
    shirt.pictures.emplace_back();
    shirt.pictures[1].path = "photo 2";
    shirt.pictures[1].bytes = green;
    const Item sock = file_item("sock", dir / "blue.bmp");
    const AddReport report = catalog.add(std::vector<Item>{shirt, sock});
    CHECK(report.added == 2);
    CHECK(report.replaced == 0);
    CHECK(report.failures.empty());
    shirt_ids = catalog.pictures_of("shirt");
  }
  CatalogOptions options;
  Log log;
  options.log = log.callback();
  Catalog catalog = Catalog::open(path, options);
  CHECK(log.text().empty());  // the snapshot was saved and holds everything
  CHECK(catalog.keys() == std::vector<std::string>{"shirt", "sock"});
  const auto shirt = catalog.get("shirt");
  REQUIRE(shirt);
  CHECK(shirt->metadata == R"({"colour":"röd","price":10})");
  REQUIRE(shirt->pictures.size() == 2);
  CHECK(shirt->pictures[0].path == (dir / "red.bmp").string());
  CHECK(shirt->pictures[1].path == "photo 2");
  CHECK(catalog.pictures_of("shirt") == shirt_ids);
  CHECK(catalog.pictures_of("shirt") == shirt_ids);
  CHECK_FALSE(catalog.get("trousers"));
  CHECK_ERROR(catalog.pictures_of("trousers"), ErrorCode::kKeyNotFound,
              "no item with the key trousers");

  const std::vector<Id> asked{shirt_ids[1], 999'999, std::numeric_limits<Id>::max(), shirt_ids[0]};
  const auto records = catalog.pictures(asked);
  REQUIRE(records.size() == 2);  // in the order asked for
  CHECK(records[0].id == shirt_ids[1]);
  CHECK(records[0].path == "photo 2");
  CHECK(records[0].key == "shirt");
  CHECK(records[1].id == shirt_ids[0]);
  CHECK(records[1].metadata == shirt->metadata);

  const auto info = catalog.info();
  CHECK(info.path == path);
  CHECK(info.encoder == "fake-grid");
  CHECK(info.encoder_name == "fake-grid");
  CHECK(info.encoder_fingerprint == std::string(64, 'f'));
  CHECK(info.dim == kDim);
  CHECK(info.metric == vsearch::Metric::kCosine);
  CHECK(info.items == 2);
  CHECK(info.pictures == 3);
  CHECK(info.generation == 1);
  CHECK(info.index.size == 3);
  CHECK(info.disk_bytes >= fs::file_size(path / "catalog.db"));
}

TEST_CASE("bad items are reported and the others are added") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  const auto good = random_vector(1);
  add_embedded(catalog, "old", 7, R"({"version":1})");
  std::vector<float> short_one(kDim - 1, 1.0F);
  std::vector<float> nan = good;
  nan[3] = std::nanf("");
  const std::vector<float> zero(kDim, 0.0F);
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "[";
  deep = R"({"a":)" + deep + std::string(5000, ']') + "}";
  Item no_pictures;
  no_pictures.key = "none";
  Item nowhere;
  nowhere.key = "nowhere";
  nowhere.pictures.emplace_back();
  Item bad_path = file_item("latin", "caf\xE9.bmp");

  const std::vector<std::pair<Item, std::string>> cases{
      {embedded_item("", good), "the key is empty"},
      {embedded_item(std::string(1025, 'k'), good), "1025 bytes long; the most is 1024"},
      {embedded_item("a\xFF", good), "not UTF-8: a?"},
      {embedded_item("a\nb", good), "control character: a?b"},
      {no_pictures, "item none: the item has no picture"},
      {nowhere, "no path, no bytes and no embedding"},
      {bad_path, "rename the file: caf?.bmp"},
      {embedded_item("short", short_one), "has 47 numbers where the catalogue has 48"},
      {embedded_item("nan", nan), "holds NaN or infinity"},
      {embedded_item("zero", zero), "all zeros"},
      {embedded_item("old", good, "[1]"), "item old: the metadata must be a JSON object"},
      {embedded_item("m1", good, ""), "not valid JSON"},
      {embedded_item("m2", good, "{'a': 1}"), "not valid JSON"},
      {embedded_item("m3", good, R"({"a": "\u0000"})"), "U+0000"},
      {embedded_item("m4", good, deep), "more than 100 levels"},
      {embedded_item("m5", good, R"({"a": 1e999})"), "not valid JSON"},
      {embedded_item("m6", good, R"({"a": ")" + std::string(2 << 20, 'x') + "\"}"), "bytes long"},
      {embedded_item("m7", good, "{\"a\": \"\xFF\"}"), "not valid JSON"},
  };
  std::vector<Item> items;
  for (const auto& [item, expected] : cases) items.push_back(item);
  items.push_back(embedded_item(std::string(1024, 'k'), good));
  const AddReport report = catalog.add(items);
  CHECK(report.added == 1);
  CHECK(report.replaced == 0);
  REQUIRE(report.failures.size() == cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CHECK(report.failures[i].key == cases[i].first.key);
    CHECK(report.failures[i].code == ErrorCode::kInvalidArgument);
    CHECK_THAT(report.failures[i].message, Catch::Contains(cases[i].second));
  }
  CHECK(catalog.get("old")->metadata == R"({"version":1})");
  CHECK(catalog.info().items == 2);
}

TEST_CASE("bad pictures are reported with their path, and their items left out") {
  TempDir dir;
  auto encoder = std::make_shared<CountingEncoder>();
  Catalog catalog = Catalog::create(dir / "shop", create_options(encoder));
  const std::vector<std::byte> picture = plain_bmp({9, 9, 9});
  write_file(dir / "good.bmp", picture);
  write_file(dir / "empty.bmp", {});
  write_file(dir / "cut.bmp", std::span(picture).first(100));
  const std::string text = "this is no picture, whatever its name says";
  write_file(dir / "text.jpg", std::as_bytes(std::span(text)));
  fs::create_directory(dir / "folder.bmp");

  std::vector<Item> items;
  for (const char* name :
       {"missing.bmp", "empty.bmp", "cut.bmp", "text.jpg", "folder.bmp", "good.bmp"}) {
    items.push_back(file_item(name, dir / name));
  }
  // One bad picture spoils its item, and every bad one is named.
  Item mixed = file_item("mixed", dir / "good.bmp");
  mixed.pictures.push_back({(dir / "missing.bmp").string(), {}, {}});
  mixed.pictures.push_back({(dir / "empty.bmp").string(), {}, {}});
  items.push_back(mixed);
  const AddReport report = catalog.add(items);
  CHECK(report.added == 1);
  CHECK(catalog.keys() == std::vector<std::string>{"good.bmp"});
  REQUIRE(report.failures.size() == 7);
  const std::vector<std::pair<std::string, ErrorCode>> expected{
      {"missing.bmp", ErrorCode::kFileNotFound},
      {"empty.bmp", ErrorCode::kBadImage},
      {"cut.bmp", ErrorCode::kBadImage},
      {"text.jpg", ErrorCode::kBadImage},
      {"folder.bmp", ErrorCode::kIo},
      {"missing.bmp", ErrorCode::kFileNotFound},
      {"empty.bmp", ErrorCode::kBadImage}};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO(report.failures[i].message);
    CHECK(report.failures[i].key == (i < 5 ? expected[i].first : "mixed"));
    CHECK(report.failures[i].path == (dir / expected[i].first).string());
    CHECK(report.failures[i].code == expected[i].second);
    CHECK_THAT(report.failures[i].message, Catch::Contains((dir / expected[i].first).string()));
  }
  CHECK(catalog.serving()->index().size() == 1);
}

TEST_CASE("an item is replaced as a whole, and of a key given twice the last item counts") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  const auto a = random_vector(1);
  const auto b = random_vector(2);
  const auto c = random_vector(3);
  AddReport report =
      catalog.add(std::vector<Item>{embedded_item("x", a, R"({"n":1})"), embedded_item("y", b),
                                    embedded_item("x", c, R"({"n":2})")});
  CHECK(report.added == 2);
  CHECK(report.replaced == 0);
  CHECK(catalog.get("x")->metadata == R"({"n":2})");
  CHECK(nearest_key(catalog, c) == "x");
  const auto first_ids = catalog.pictures_of("x");

  Item two = embedded_item("x", a, R"({"n":3})");
  two.pictures.push_back({"side", {}, b});
  report = catalog.add({&two, 1});
  CHECK(report.added == 0);
  CHECK(report.replaced == 1);
  const auto ids = catalog.pictures_of("x");
  REQUIRE(ids.size() == 2);
  CHECK(ids[0] > first_ids[0]);  // an id is given once
  CHECK(catalog.serving()->index().size() == 3);
  CHECK_FALSE(catalog.serving()->index().contains(first_ids[0]));
  CHECK(catalog.pictures(first_ids).empty());
}

TEST_CASE("pictures that have not changed are not encoded again") {
  TempDir dir;
  auto encoder = std::make_shared<CountingEncoder>();
  Catalog catalog = Catalog::create(dir / "shop", create_options(encoder));
  const auto fill = [&](const std::string& name, vsearch_test::Rgb colour) {
    write_file(dir / name, plain_bmp(colour));
  };
  fill("1.bmp", {1, 2, 200});
  fill("2.bmp", {200, 2, 1});
  std::vector<Item> items{file_item("1", dir / "1.bmp"), file_item("2", dir / "2.bmp")};
  catalog.add(items);
  CHECK(encoder->encoded == 2);
  const auto ids = catalog.pictures_of("1");
  const auto generation = catalog.info().generation;

  AddReport report = catalog.add(items);
  CHECK(encoder->encoded == 2);
  CHECK(report.replaced == 2);
  CHECK(catalog.info().generation == generation);  // nothing was written
  CHECK(catalog.pictures_of("1") == ids);

  items[0].metadata = R"({"price":3})";
  catalog.add(items);
  CHECK(encoder->encoded == 2);
  CHECK(catalog.get("1")->metadata == R"({"price":3})");
  CHECK(catalog.pictures_of("1") == ids);

  fill("1.bmp", {1, 200, 2});                         // another content
  items[1].pictures.push_back(items[0].pictures[0]);  // and another picture beside a known one
  catalog.add(items);
  CHECK(encoder->encoded == 4);
  CHECK(catalog.pictures_of("1") != ids);
  const vsearch::Image green = vsearch::decode_image(plain_bmp({1, 200, 2}));
  const auto view = green.view();
  const auto found =
      catalog.serving()->index().search(encoder->encode({&view, 1}).row(0), {.k = 2});
  REQUIRE(found.size() == 2);
  CHECK(found[1].distance < 1e-5F);
}

TEST_CASE("many pictures are read ahead and stay with their items") {
  TempDir dir;
  auto encoder = std::make_shared<CountingEncoder>();
  Catalog catalog = Catalog::create(dir / "shop", create_options(encoder));
  constexpr std::uint32_t kItems = 500;
  std::vector<std::vector<std::byte>> files;
  for (std::uint32_t i = 0; i < kItems; ++i) {
    files.push_back(vsearch_test::bmp(8, 8, [&](std::uint32_t x, std::uint32_t y) {
      const std::uint32_t v = (i * 2654435761U) ^ (x / 2 * 7919U + y / 2 * 104729U) * (i + 1);
      return vsearch_test::Rgb{static_cast<std::uint8_t>(v >> 8),
                               static_cast<std::uint8_t>(v >> 16),
                               static_cast<std::uint8_t>(v >> 24)};
    }));
  }
  std::vector<Item> items;
  for (std::uint32_t i = 0; i < kItems; ++i) {
    items.push_back(file_item(std::to_string(i), ""));
    items.back().pictures[0].bytes = files[i];
  }
  items[7].pictures[0].bytes = std::span(files[7]).first(60);  // a bad one among them
  std::vector<std::uint64_t> progress;
  const AddReport report = catalog.add(items, [&](std::uint64_t done, std::uint64_t total) {
    CHECK(total == kItems);
    progress.push_back(done);
    return true;
  });
  CHECK(report.added == kItems - 1);
  REQUIRE(report.failures.size() == 1);
  CHECK(report.failures[0].key == "7");
  CHECK_THAT(report.failures[0].message, Catch::Contains("a picture of item 7"));
  CHECK(std::is_sorted(progress.begin(), progress.end()));
  CHECK(progress.back() == kItems);
  for (std::uint32_t i = 0; i < kItems; i += 13) {
    const vsearch::Image image = vsearch::decode_image(files[i]);
    const auto view = image.view();
    CHECK(nearest_key(catalog, encoder->encode({&view, 1}).row(0)) == std::to_string(i));
  }
}

TEST_CASE("cancelling keeps what was committed") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  const auto embedding = random_vector(1);
  std::vector<Item> items;
  for (int i = 0; i < 2500; ++i) items.push_back(embedded_item(std::to_string(i), embedding));
  std::uint64_t told = 0;
  CHECK_ERROR(catalog.add(items,
                          [&](std::uint64_t done, std::uint64_t) {
                            told = done;
                            return done < 100;
                          }),
              ErrorCode::kCancelled, "1000 of 2500 items are done and stay");
  CHECK(told == 1000);
  CHECK(catalog.info().items == 1000);
  CHECK(catalog.add(items).added == 2500 - 1000);
  // Cancelling when all is done is too late.
  CHECK(catalog.add(items, [](std::uint64_t done, std::uint64_t total) { return done < total; })
            .replaced == 2500);
}

TEST_CASE("items are removed and not found any more") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  for (std::uint64_t i = 0; i < 5; ++i) add_embedded(catalog, std::to_string(i), i);
  const std::vector<std::string> keys{"1", "none", "3", "1", "none"};
  CHECK(catalog.remove(keys) == std::vector<std::string>{"none"});
  CHECK(catalog.keys() == std::vector<std::string>{"0", "2", "4"});
  CHECK(catalog.serving()->index().size() == 3);
  CHECK(nearest_key(catalog, random_vector(1)) != "1");
  CHECK(catalog.remove(keys) == std::vector<std::string>{"1", "none", "3"});
  CHECK(catalog.remove({}).empty());

  // All of many, and then on.
  const auto embedding = random_vector(1);
  std::vector<Item> items;
  for (int i = 0; i < 300; ++i) items.push_back(embedded_item(std::to_string(i), embedding));
  catalog.add(items);
  CHECK(catalog.remove(catalog.keys()).empty());
  CHECK(catalog.keys().empty());
  CHECK(catalog.serving()->index().size() == 0);
  CHECK(nearest_key(catalog, embedding).empty());
  CHECK(catalog.add(items).added == 300);
}

TEST_CASE("patches change metadata and nothing else") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  catalog.add(std::vector<Item>{
      embedded_item("a", random_vector(1), R"({"price":10,"sale":true,"size":{"w":1,"h":2}})"),
      embedded_item("b", random_vector(2), R"({"price":20})")});
  const std::vector<Id> ids = catalog.pictures_of("a");
  const std::uint64_t generation = catalog.info().generation;
  using Patches = std::vector<vsearch::MetadataPatch>;
  CHECK(catalog.patch(Patches{{"a", R"({"price":11,"sale":null,"size":{"h":3}})"},
                              {"none", "{}"},
                              {"a", R"({"new":[1,null]})"},
                              {"none", R"({"x":1})"}}) == std::vector<std::string>{"none"});
  CHECK(catalog.get("a")->metadata == R"({"new":[1,null],"price":11,"size":{"h":3,"w":1}})");
  CHECK(catalog.get("b")->metadata == R"({"price":20})");
  CHECK(catalog.pictures_of("a") == ids);
  CHECK(catalog.info().generation == generation + 1);
  CHECK(catalog.match(vsearch::Filter::parse("price = 11")).ids() == ids);

  SECTION("what changes nothing is no change") {
    catalog.patch(Patches{{"a", R"({"price":11})"}, {"b", "{}"}});
    CHECK(catalog.patch({}).empty());
    CHECK(catalog.info().generation == generation + 1);
  }
  SECTION("one that is bad changes nothing of the others") {
    const auto refused = [&](const std::string& changes) {
      return error_message(ErrorCode::kInvalidArgument, [&] {
        catalog.patch(Patches{{"b", R"({"price":1})"}, {"a", changes}});
      });
    };
    CHECK_THAT(refused("{"), Catch::Contains("item a: a patch is not valid JSON"));
    CHECK_THAT(refused("[1]"), Catch::Contains("item a: a patch must be a JSON object"));
    CHECK_THAT(refused(R"({"x":"\u0000"})"), Catch::Contains("U+0000"));
    const std::string half(600 * 1024, 'x');
    catalog.patch(Patches{{"a", R"({"long":")" + half + "\"}"}});
    CHECK_THAT(refused(R"({"longer":")" + half + "\"}"), Catch::Contains("the most is 1048576"));
    CHECK(catalog.get("b")->metadata == R"({"price":20})");
  }
  SECTION("it is there after closing and opening again") {
    catalog = create_catalog(dir / "other");
    const Catalog again = Catalog::open(dir / "shop");
    CHECK(again.get("a")->metadata == R"({"new":[1,null],"price":11,"size":{"h":3,"w":1}})");
  }
}

TEST_CASE("metadata filters give the pictures of the matching items") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  const auto a = random_vector(1);
  Item two = embedded_item("two", a, R"({"colour":"red"})");
  two.pictures.push_back({"side", {}, a});
  catalog.add({&two, 1});
  add_embedded(catalog, "one", 2, R"({"colour":"blue"})");
  CHECK(catalog.match(vsearch::Filter::parse("colour = 'red'")).ids() ==
        catalog.pictures_of("two"));
  CHECK(catalog.match(vsearch::Filter::parse("colour = 'blue'")).ids() ==
        catalog.pictures_of("one"));
  CHECK(catalog.match(vsearch::Filter::parse("colour IN ('red', 'blue')")).size() == 3);
  CHECK(catalog.match(vsearch::Filter::parse("colour = 'green'")).size() == 0);
}

namespace {

// Refuses white pictures, as an encoder may refuse a size; gives zeros for black ones.
class FussyEncoder : public FakeEncoder {
 public:
  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    vsearch::Matrix result = FakeEncoder::encode(images, progress);
    for (std::size_t i = 0; i < images.size(); ++i) {
      if (images[i].data[0] == 255) {
        throw vsearch::Error(ErrorCode::kInvalidArgument, "too white");
      }
      if (images[i].data[0] == 0) std::ranges::fill(result.row(i), 0.0F);
    }
    return result;
  }
};

}  // namespace

TEST_CASE("a picture that the encoder refuses costs only its own item") {
  TempDir dir;
  Catalog catalog = Catalog::create(dir / "shop", create_options(std::make_shared<FussyEncoder>()));
  std::vector<Item> items;
  for (const std::uint8_t grey : std::initializer_list<std::uint8_t>{10, 255, 20, 0, 30}) {
    const fs::path path = dir / (std::to_string(grey) + ".bmp");
    write_file(path, plain_bmp({grey, grey, grey}));
    items.push_back(file_item(std::to_string(grey), path));
  }
  const AddReport report = catalog.add(items);
  CHECK(catalog.keys() == std::vector<std::string>{"10", "20", "30"});
  REQUIRE(report.failures.size() == 2);
  CHECK(report.failures[0].key == "255");
  CHECK(report.failures[0].message == items[1].pictures[0].path + ": too white");
  CHECK(report.failures[1].key == "0");
  CHECK(report.failures[1].code == ErrorCode::kBadModel);
  CHECK_THAT(report.failures[1].message, Catch::Contains("0.bmp") && Catch::Contains("all zeros"));
}

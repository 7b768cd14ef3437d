// The pictures of a catalogue as a data set.
#include "vsearch/catalog_dataset.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"

namespace fs = std::filesystem;
using namespace vsearch_test;
using Catch::Contains;
using vsearch::Catalog;
using vsearch::catalog_dataset;
using vsearch::Dataset;
using vsearch::DatasetPicture;
using vsearch::LabelledQuery;

namespace {

// Writes the file too.
fs::path picture(const TempDir& dir, const std::string& name, std::uint8_t red) {
  fs::path path = dir / (name + ".bmp");
  write_file(path, plain_bmp({red, 9, 9}));
  return path;
}

// Items "0", "1", ... of one picture each, with these metadata.
Catalog shop_of(const TempDir& dir, const std::vector<std::string>& metadata) {
  Catalog shop = create_catalog(dir / "shop.vsearch");
  for (std::size_t i = 0; i < metadata.size(); ++i) {
    const std::string key = std::to_string(i);
    const vsearch::Item item =
        file_item(key, picture(dir, key, static_cast<std::uint8_t>(i)), metadata[i]);
    REQUIRE(shop.add({&item, 1}).failures.empty());
  }
  return shop;
}

// The label of the picture of that name, in words; "-": none.
std::string label_of(const Dataset& dataset, const std::string& name) {
  const auto found = std::ranges::find(dataset.pictures, name, [](const DatasetPicture& one) {
    return fs::path(one.path).stem().string();
  });
  REQUIRE(found != dataset.pictures.end());
  return found->label < 0 ? "-" : dataset.classes[static_cast<std::size_t>(found->label)];
}

}  // namespace

TEST_CASE("items are labelled by a field, or by several together") {
  const TempDir dir;
  const Catalog shop = shop_of(dir, {
                                        R"({"type": "cup", "size": {"cm": 9}, "shop": "a"})",
                                        R"({"type": "cup", "size": {"cm": 9}, "shop": "b"})",
                                        R"({"type": "cup", "size": {"cm": 7}})",
                                        R"({"type": "mug", "size": {"cm": 7}, "shop": ["a"]})",
                                        R"({"type": "mug", "size": {"cm": 7}})",
                                        R"({"type": "mug"})",
                                    });
  const Dataset by_type = catalog_dataset(shop, {"type"});
  CHECK(by_type.classes == std::vector<std::string>{"cup", "mug"});
  REQUIRE(by_type.pictures.size() == 6);
  CHECK(label_of(by_type, "2") == "cup");
  CHECK(fs::exists(by_type.root / by_type.pictures[0].path));
  REQUIRE(by_type.fields.size() == 1);
  CHECK(by_type.fields[0].name == "shop");
  CHECK(by_type.fields[0].values == std::vector<std::string>{"a", "b"});
  CHECK(by_type.fields[0].of_picture == std::vector<std::int32_t>{0, 1, -1, -1, -1, -1});
  CHECK(by_type.protocol("leave one out").queries.size() == 6);
  CHECK(by_type.domains.empty());

  const Dataset by_both = catalog_dataset(shop, {"type", "size.cm"});
  CHECK(label_of(by_both, "1") == "cup / 9");
  CHECK(label_of(by_both, "2") == "cup / 7");
  CHECK(label_of(by_both, "5") == "-");
  CHECK(by_both.fields.size() == 2);

  CHECK_THROWS_WITH(catalog_dataset(shop, {"colour"}),
                    Contains("the field 'colour'") && Contains("fewer than two labels"));
  CHECK_THROWS_WITH(catalog_dataset(shop, {"type", "\"a"}), Contains("is no field of metadata"));
}

TEST_CASE("items are labelled by what belongs together") {
  const TempDir dir;
  const Catalog shop = shop_of(dir, std::vector<std::string>(8, R"({"type": "cup"})"));
  const std::vector<LabelledQuery> queries{
      {"0", "", {"1", "gone"}},
      {"2", "", {"1"}},                                 // so do 0 and 2
      {"", picture(dir, "photo", 99).string(), {"4"}},  // a customer's
      {"", "https://shop/photo.jpg", {"5", "4"}},       // is not there to be read
      {"7", "", {"gone too", "gone"}},                  // what is gone joins nothing
      {"gone", "", {"7", "3"}},
      {"", picture(dir, "photo", 99).string(), {"5"}},  // again
  };
  const Dataset dataset = catalog_dataset(shop, queries);
  REQUIRE(dataset.pictures.size() == 9);
  CHECK(label_of(dataset, "0") == label_of(dataset, "1"));
  CHECK(label_of(dataset, "0") == label_of(dataset, "2"));
  CHECK(label_of(dataset, "photo") == label_of(dataset, "4"));
  CHECK(label_of(dataset, "photo") == label_of(dataset, "5"));
  CHECK(label_of(dataset, "photo") != label_of(dataset, "0"));
  CHECK(label_of(dataset, "3") == "-");
  CHECK(label_of(dataset, "7") == "-");
  CHECK(label_of(dataset, "6") == "-");
  CHECK(dataset.domains == std::vector<std::string>{"catalogue", "query"});
  CHECK(dataset.pictures.back().domain == 1);
  CHECK(dataset.fields.size() == 1);

  SECTION("without pictures that ask there are no domains") {
    const std::vector<LabelledQuery> items{{"0", "", {"1"}}, {"2", "", {"3"}}};
    CHECK(catalog_dataset(shop, items).domains.empty());
  }
  SECTION("one group alone says nothing") {
    CHECK_THROWS_WITH(catalog_dataset(shop, std::vector<LabelledQuery>{{"0", "", {"1", "2"}}}),
                      Contains("fewer than two groups"));
  }
}

TEST_CASE("answers that chain everything are refused") {
  const TempDir dir;
  const Catalog shop = shop_of(dir, std::vector<std::string>(104, "{}"));
  std::vector<LabelledQuery> queries;
  for (int i = 1; i < 60; ++i) queries.push_back({"0", "", {std::to_string(i)}});
  for (int i = 60; i < 103; i += 2) {
    queries.push_back({std::to_string(i), "", {std::to_string(i + 1)}});
  }
  CHECK_THROWS_WITH(catalog_dataset(shop, queries), Contains("chain 60 of 104 pictures"));
  queries.erase(queries.begin() + 20, queries.begin() + 59);
  CHECK(catalog_dataset(shop, queries).classes.size() == 23);
}

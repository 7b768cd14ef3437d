// What Catalog::check finds: each fault is planted as another program could.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "catalog/sqlite.h"
#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::CheckReport;
using vsearch::ErrorCode;

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kItems = 200;

// A closed catalogue with items of every kind: 0 ... 199 were embedded, "shirt" has files.
fs::path make_shop(const TempDir& dir) {
  const fs::path shop = dir / "shop";
  write_file(dir / "red.bmp", plain_bmp({255, 0, 0}));
  Catalog catalog = create_catalog(shop);
  fill(catalog, 0, kItems);
  vsearch::Item shirt = file_item("shirt", dir / "red.bmp", R"({"price":3})");
  shirt.pictures[0].keep_bytes = true;
  shirt.pictures.push_back(shirt.pictures[0]);
  shirt.pictures[1].crop = {0, 0, 0.5F, 1};
  REQUIRE(catalog.add({&shirt, 1}).failures.empty());
  return shop;
}

CheckReport check_after(const fs::path& shop, const char* sql) {
  {
    vsearch::db::Database database(shop / "catalog.db", vsearch::db::Database::Mode::kOpen);
    database.execute("PRAGMA foreign_keys = OFF");
    database.execute(sql);
  }
  return Catalog::open(shop).check();
}

bool has_fault(const CheckReport& report, const std::string& text) {
  return std::ranges::any_of(report.faults, [&](const std::string& fault) {
    return fault.find(text) != std::string::npos;
  });
}

}  // namespace

TEST_CASE("a sound catalogue has no faults") {
  TempDir dir;
  const fs::path shop = make_shop(dir);
  Catalog catalog = Catalog::open(shop);
  const CheckReport report = catalog.check();
  CHECK(report.faults.empty());
  CHECK(report.items == kItems + 1);
  CHECK(report.pictures == kItems + 2);
  CHECK(report.health.size == kItems + 2);
  CHECK(report.health.sampled == 200);
  CHECK(report.health.self_recall > 0.9);
  CHECK(report.health.removed_share == 0);

  std::vector<std::string> keys;
  for (int i = 0; i < 50; ++i) keys.push_back(std::to_string(i));
  catalog.remove(keys);
  const CheckReport later = catalog.check();
  CHECK(later.faults.empty());
  CHECK(later.items == kItems + 1 - 50);

  TempDir other;
  Catalog empty = create_catalog(other / "empty");
  CHECK(empty.check().faults.empty());
}

TEST_CASE("faults that were planted are found, and nothing else") {
  TempDir dir;
  const fs::path shop = make_shop(dir);
  const char* sql = "";
  std::string expected;
  std::uint64_t orphans = 0;
  std::size_t faults = 1;
  SECTION("an embedding of no picture") {
    sql = "INSERT INTO embeddings_1 SELECT 9999, vector FROM embeddings_1 WHERE picture_id = 3";
    expected = "1 rows belong to nothing (embeddings_1 -> pictures); compacting";
    orphans = 1;
  }
  SECTION("files of no picture") {
    sql = "INSERT INTO picture_files VALUES (9998, x'00'), (9999, x'00')";
    expected = "2 rows belong to nothing (picture_files -> pictures)";
    orphans = 2;
  }
  SECTION("a picture of no item") {
    sql =
        "INSERT INTO pictures (id, item_id, position, path) VALUES (9999, 9999, 0, 'x');"
        "INSERT INTO embeddings_1 SELECT 9999, vector FROM embeddings_1 WHERE picture_id = 3";
    expected = "1 rows belong to nothing (pictures -> items)";
    orphans = 1;
  }
  SECTION("values of no picture and of no field") {
    sql =
        "INSERT INTO fields VALUES (1, 'price', 'number');"
        "INSERT INTO field_values VALUES (1, 3, 201), (1, 3, 9999), (7, 3, 5)";
    expected = "1 rows belong to nothing (field_values -> pictures)";
    orphans = 2;
    faults = 2;
  }
  SECTION("a removed picture that is there") {
    // Which takes it out of the index with the next open.
    sql = "INSERT INTO removals VALUES (5, 1)";
    expected = "the index lacks 1 pictures that the catalogue has; compacting the catalogue builds";
    orphans = 1;
    faults = 2;
  }
  SECTION("an item without pictures") {
    sql = "INSERT INTO items (key, metadata) VALUES ('bare', '{}')";
    expected = "1 items have no picture, as of item bare; remove these items and add";
  }
  SECTION("pictures that are numbered wrong") {
    sql = "UPDATE pictures SET position = 7 WHERE id = 202";
    expected = "1 items have pictures that are not numbered 0, 1, ..., as of item shirt";
  }
  SECTION("metadata that are no object") {
    sql =
        "UPDATE items SET metadata = '[]' WHERE key = '17';"
        "UPDATE items SET metadata = '{' WHERE key = '18'";
    expected = "2 items have metadata that are no JSON object, as of item 17; add these items";
  }
  SECTION("a crop that is none") {
    sql = "UPDATE pictures SET crop = '0 0 3 1' WHERE id = 202";
    expected = "1 pictures have a crop that is none, as of item shirt";
  }
  SECTION("a picture without an embedding") {
    sql = "DELETE FROM embeddings_1 WHERE picture_id = 9";
    expected = "1 pictures have no embedding and are not found, as of item 8";
    faults = 2;  // the index has it
  }
  SECTION("another vector than in the index") {
    sql =
        "UPDATE embeddings_1 SET vector = (SELECT vector FROM embeddings_1 WHERE picture_id = 3) "
        "WHERE picture_id > 3";
    expected = "the index has other vectors than the catalogue for";
  }
  const CheckReport report = check_after(shop, sql);
  INFO(Catch::StringMaker<std::vector<std::string>>::convert(report.faults));
  CHECK(has_fault(report, expected));
  CHECK(report.orphans == orphans);
  CHECK(report.faults.size() == faults);
}

TEST_CASE("what the index has and the catalogue has not is counted") {
  TempDir dir;
  const fs::path shop = make_shop(dir);
  const CheckReport report =
      check_after(shop, "DELETE FROM embeddings_1 WHERE picture_id BETWEEN 11 AND 20");
  CHECK(report.index_extra == 10);
  CHECK(report.index_missing == 0);
  CHECK(report.without_embedding == 10);
  CHECK(has_fault(report, "the index has 10 pictures that the catalogue lacks"));
  // The remedies help.
  Catalog catalog = Catalog::open(shop);
  CHECK(catalog.compact().index_rebuilt);
  CHECK(catalog.check().index_extra == 0);
  fill(catalog, 10, 20);
  CHECK(catalog.check().faults.empty());
}

TEST_CASE("damage that opening does not meet is found") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  {
    Catalog catalog = create_catalog(shop);
    add_embedded(catalog, "a-key-of-its-own", 1);
  }
  // It stands in the table and in the index of keys.
  auto bytes = read_file(shop / "catalog.db");
  const std::string key = "a-key-of-its-own";
  const auto wanted = std::as_bytes(std::span(key));
  const auto at = std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
  REQUIRE(at != bytes.end());
  *at = std::byte{'b'};
  write_file(shop / "catalog.db", bytes);
  const CheckReport report = Catalog::open(shop).check();
  CHECK(has_fault(report, "catalog.db is damaged: "));
  CHECK(has_fault(report, "restore the catalogue from a backup"));
}

TEST_CASE("searches that find too little are a fault") {
  TempDir dir;
  const Catalog catalog = Catalog::open(make_shop(dir));
  vsearch::CheckOptions options;
  const double recall = catalog.check(options).health.self_recall;
  CHECK(recall > 0.9);
  options.min_self_recall = recall;
  CHECK(catalog.check(options).faults.empty());
  options.min_self_recall = recall + 0.001;
  CHECK(has_fault(catalog.check(options), "of the nearest pictures, and are to find"));
}

TEST_CASE("a check can be cancelled, and its progress may use the catalogue") {
  TempDir dir;
  const Catalog catalog = Catalog::open(make_shop(dir));
  std::uint64_t calls = 0;
  CHECK(catalog
            .check({},
                   [&](std::uint64_t, std::uint64_t) {
                     ++calls;
                     return catalog.get("7").has_value();
                   })
            .faults.empty());
  CHECK(calls > 2);
  for (std::uint64_t stop = 0; stop + 1 < calls; ++stop) {
    std::uint64_t left = stop;
    CHECK_ERROR(catalog.check({}, [&](std::uint64_t, std::uint64_t) { return left-- > 0; }),
                ErrorCode::kCancelled, "cancelled");
  }
}

// Catalogues as released versions wrote them are opened, and brought to today's schema.
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/other_encoder.h"
#include "support/tamper.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::ErrorCode;
using vsearch::Query;
using vsearch::Searcher;

namespace fs = std::filesystem;

namespace {

// The colour of the picture that the golden catalogues have under this number.
Rgb colour_of(int i) {
  return {static_cast<std::uint8_t>(20 * i), static_cast<std::uint8_t>(255 - 20 * i),
          static_cast<std::uint8_t>(i * i)};
}

std::vector<std::string> keys_near(const Catalog& catalog, int colour, std::uint32_t k) {
  const auto file = plain_bmp(colour_of(colour));
  std::vector<std::string> keys;
  for (const auto& hit : Searcher(catalog).search(Query::encoded(file), {.k = k})) {
    keys.push_back(hit.key);
  }
  return keys;
}

// What version 1 wrote: "item 0" to "item 9" but for 5, of which 3 has two pictures and 7 was
// replaced, and "given", which came as an embedding.
void check_items_of_1(const Catalog& catalog) {
  CHECK(catalog.info().items == 10);
  CHECK(catalog.info().pictures == 11);
  CHECK(catalog.info().index.size == 11);
  CHECK(catalog.info().encoder == "fake-grid");
  CHECK_FALSE(catalog.get("item 5"));
  const auto three = catalog.get("item 3");
  REQUIRE(three);
  CHECK(three->metadata == R"({"colour":"röd","number":3})");
  REQUIRE(three->pictures.size() == 2);
  CHECK(three->pictures[1].path == "photos/3 again.bmp");
  CHECK(three->pictures[1].role.empty());
  CHECK(three->pictures[1].crop.is_whole());
  CHECK(three->pictures[1].content_hash.size() == 64);
  REQUIRE(catalog.get("given"));
  CHECK(catalog.get("given")->pictures[0].content_hash.empty());
  CHECK(catalog.get("item 7")->metadata == R"({"number":70})");
  CHECK(keys_near(catalog, 2, 1) == std::vector<std::string>{"item 2"});
  CHECK(keys_near(catalog, 10, 1) == std::vector<std::string>{"item 3"});
  CHECK(keys_near(catalog, 11, 1) == std::vector<std::string>{"item 7"});
  CHECK(catalog.match(vsearch::Filter::parse("number > 6")).size() == 3);
}

fs::path copy_of_golden(const char* name, const fs::path& directory) {
  const fs::path shop = directory / "shop";
  fs::copy(fs::path(VSEARCH_SOURCE_DIR) / "tests/golden" / name, shop);
  return shop;
}

vsearch::CatalogOptions with_encoder(Log& log) {
  vsearch::CatalogOptions options;
  options.encoder = std::make_shared<FakeEncoder>();
  options.log = log.callback();
  return options;
}

}  // namespace

TEST_CASE("a catalogue of version 1 is opened, and stays what it was") {
  TempDir dir;
  const fs::path shop = copy_of_golden("catalog_v1", dir.path());
  Log log;
  {
    Catalog catalog = Catalog::open(shop, with_encoder(log));
    CHECK(log.text().empty());  // its snapshot is used
    check_items_of_1(catalog);
    const auto editions = catalog.editions();
    REQUIRE(editions.size() == 1);
    CHECK(editions[0].id == 1);
    CHECK(editions[0].state == vsearch::EditionState::kServing);
    CHECK(editions[0].encoder_fingerprint == std::string(64, 'f'));
    CHECK(editions[0].embeddings == 11);
    // It is one of today's from now on.
    const auto file = plain_bmp(colour_of(5));
    vsearch::Item item{"item 5", {{.path = "new.bmp", .bytes = file, .role = "front"}}};
    CHECK(catalog.add({&item, 1}).encoded == 1);
    CHECK(keys_near(catalog, 5, 1) == std::vector<std::string>{"item 5"});
    const std::vector<std::string> keys{"item 5"};
    catalog.remove(keys);
  }
  Catalog catalog = Catalog::open(shop, with_encoder(log));
  CHECK(log.text().empty());
  check_items_of_1(catalog);
}

TEST_CASE("a catalogue of version 1 without its snapshot is opened, too") {
  TempDir dir;
  const fs::path shop = copy_of_golden("catalog_v1", dir.path());
  fs::remove(shop / "index.snapshot");
  Log log;
  Catalog catalog = Catalog::open(shop, with_encoder(log));
  check_items_of_1(catalog);
}

TEST_CASE("a catalogue of version 2 is opened: two editions, crops, roles, kept files, fields") {
  TempDir dir;
  const fs::path shop = copy_of_golden("catalog_v2", dir.path());
  Log log;
  vsearch::CatalogOptions options;
  options.log = log.callback();
  options.encoder_loader = [](const std::string& name) -> std::shared_ptr<vsearch::Encoder> {
    if (name == "other-grid") return std::make_shared<OtherEncoder>();
    return std::make_shared<FakeEncoder>();
  };
  Catalog catalog = Catalog::open(shop, options);
  CHECK(log.text().empty());
  CHECK(catalog.check().faults.empty());
  CHECK(catalog.info().items == 9);
  CHECK(catalog.info().pictures == 10);
  CHECK(catalog.editions().size() == 2);
  CHECK(catalog.fields().size() == 3);
  CHECK(catalog.get("item 4")->pictures[0].crop == vsearch::CropBox{0.25F, 0.0F, 0.75F, 0.5F});
  CHECK(catalog.get("item 3")->pictures[1].role == "front");
  CHECK(catalog.get("item 0")->pictures[0].kept_bytes == plain_bmp({}).size());
  CHECK(catalog.match(vsearch::Filter::parse("number > 6 AND tags HAS 't2'")).size() == 1);
  CHECK(keys_near(catalog, 11, 1) == std::vector<std::string>{"item 7"});
  CHECK(catalog.rollback().switched);
  CHECK(catalog.info().encoder == "fake-grid");
  CHECK(keys_near(catalog, 11, 1) == std::vector<std::string>{"item 7"});
  CHECK(catalog.check().faults.empty());
}

TEST_CASE("what only looks like a catalogue of version 1 is refused and left alone") {
  TempDir dir;
  const fs::path shop = copy_of_golden("catalog_v1", dir.path());
  const fs::path database = shop / "catalog.db";
  std::string sql;
  std::string expected;
  SECTION("a table more") {
    sql = "CREATE TABLE more (x)";
    expected = "not ours";
  }
  SECTION("a setting less") {
    sql = "DELETE FROM meta WHERE key = 'links'";
    expected = "meta lacks a part";
  }
  SECTION("no dim") {
    sql = "DELETE FROM meta WHERE key = 'dim'";
    expected = "says no dim";
  }
  SECTION("no meta") {
    sql = "DROP TABLE meta";
    expected = "the table meta is missing";
  }
  tamper(database, sql);
  const auto before = read_file(database);
  CHECK_ERROR(Catalog::open(shop), ErrorCode::kCorrupt, expected);
  CHECK(read_file(database) == before);
}

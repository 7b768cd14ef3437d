// What a catalogue makes of damaged files and of files that are not its own. For damage at random
// see tests/faults/catalog_mutations.cpp.
#include <catch2/catch.hpp>
#include <fstream>
#include <string>
#include <vector>

#include "catalog/core.h"
#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/tamper.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::CatalogOptions;
using vsearch::ErrorCode;

namespace {

namespace fs = std::filesystem;

}  // namespace

TEST_CASE("a snapshot that cannot be used is built anew, and the log says why") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  const fs::path snapshot = shop / "index.snapshot";
  {
    Catalog catalog = create_catalog(shop);
    fill(catalog, 0, 50);
  }
  std::vector<std::byte> bytes = read_file(snapshot);
  std::string expected;
  SECTION("missing") {
    fs::remove(snapshot);
    expected = "index.snapshot";
  }
  SECTION("empty") {
    write_file(snapshot, {});
    expected = "index.snapshot";
  }
  SECTION("cut off") {
    write_file(snapshot, std::span(bytes).first(bytes.size() - 7));
    expected = "index.snapshot";
  }
  SECTION("a bit flipped") {
    bytes[bytes.size() / 2] ^= std::byte{0x10};
    write_file(snapshot, bytes);
    expected = "index.snapshot";
  }
  SECTION("of another catalogue") {
    {
      Catalog other = create_catalog(dir / "other");
      fill(other, 50, 100);
    }
    fs::copy_file(dir / "other/index.snapshot", snapshot, fs::copy_options::overwrite_existing);
    expected = "is of another catalogue, or newer than catalog.db";
  }
  SECTION("newer than a store that was restored from a backup") {
    fs::copy_file(shop / "catalog.db", dir / "backup.db");
    {
      Catalog catalog = Catalog::open(shop);
      catalog.remove(catalog.keys());
      fill(catalog, 200, 260);
    }
    fs::copy_file(dir / "backup.db", shop / "catalog.db", fs::copy_options::overwrite_existing);
    expected = "is of another catalogue, or newer than catalog.db";
  }
  SECTION("a folder") {
    fs::remove(snapshot);
    fs::create_directory(snapshot);
    {
      Log log;
      Catalog catalog = open_with_log(shop, log);
      check_items(catalog, 50);
      CHECK_ERROR(catalog.save_snapshot(), ErrorCode::kIo, "index.snapshot");
    }
    fs::remove_all(snapshot);
    expected = "index.snapshot";
  }
  {
    Log log;
    std::vector<std::uint64_t> progress;
    CatalogOptions options;
    options.log = log.callback();
    options.progress = [&](std::uint64_t done, std::uint64_t total) {
      CHECK(total == 50);
      progress.push_back(done);
      return true;
    };
    Catalog catalog = Catalog::open(shop, options);
    CHECK_THAT(log.text(), Catch::Contains("warning: the index snapshot cannot be used: "));
    CHECK_THAT(log.text(), Catch::Contains(expected));
    CHECK_THAT(log.text(), Catch::Contains("building the index of 50 pictures anew"));
    CHECK(progress.back() == 50);
    check_items(catalog, 50);
  }
  Log log;
  Catalog catalog = open_with_log(shop, log);
  CHECK(log.text().empty());  // closing has saved a good one
  check_items(catalog, 50);
}

TEST_CASE("a large snapshot with damaged vectors is deleted, and the next open builds it anew",
          "[large]") {
  // Large enough to be looked through after the opening: few vectors, very long ones.
  constexpr std::size_t kLength = 60'000;
  constexpr std::size_t kItems = 600;
  class LongEncoder : public vsearch_test::FakeEncoder {
   public:
    LongEncoder() : info_(FakeEncoder::info()) { info_.dim = kLength; }
    const vsearch::EncoderInfo& info() const override { return info_; }

   private:
    vsearch::EncoderInfo info_;
  };
  TempDir dir;
  const fs::path shop = dir / "shop";
  const fs::path snapshot = shop / "index.snapshot";
  const auto vector_of = [](std::size_t item) {
    std::vector<float> vector(kLength, 0.01F);
    vector[item] = 1.0F;
    return vector;
  };
  {
    auto options = vsearch_test::create_options(std::make_shared<LongEncoder>());
    options.links = 4;
    options.build_breadth = 4;
    Catalog catalog = Catalog::create(shop, options);
    std::vector<std::vector<float>> vectors;
    std::vector<vsearch::Item> items;
    for (std::size_t i = 0; i < kItems; ++i) vectors.push_back(vector_of(i));
    for (std::size_t i = 0; i < kItems; ++i) {
      items.push_back(vsearch_test::embedded_item(std::to_string(i), vectors[i]));
    }
    REQUIRE(catalog.add(items).failures.empty());
  }
  REQUIRE(fs::file_size(snapshot) >= std::uintmax_t{64} << 20);
  {
    std::fstream file(snapshot, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(-100, std::ios::end);
    file.put('x').put('y');
  }
  SECTION("found while it is used") {
    Log log;
    Catalog catalog = open_with_log(shop, log);
    const auto vector = vector_of(7);
    vsearch::Item item = vsearch_test::embedded_item("new", vector);
    CHECK_ERROR(catalog.add({&item, 1}), ErrorCode::kCorrupt, "Open the catalogue again");
    CHECK_ERROR(catalog.near_pictures(*catalog.serving(), vector, {}), ErrorCode::kCorrupt,
                "nothing is lost");
    CHECK_ERROR(catalog.info(), ErrorCode::kCorrupt, "index.snapshot");
    CHECK_ERROR(catalog.save_snapshot(), ErrorCode::kCorrupt, "checksum");
    CHECK_FALSE(fs::exists(snapshot));
  }
  SECTION("found when the catalogue is brought in step") {
    tamper(shop / "catalog.db",
           "DELETE FROM embeddings_1 WHERE picture_id = 4; DELETE FROM pictures WHERE id = 4;"
           "INSERT INTO removals (picture_id, generation) VALUES (4, 1000)");
  }
  Log log;
  Catalog catalog = open_with_log(shop, log);
  CHECK_THAT(log.text(), Catch::Contains("the index snapshot cannot be used: ") &&
                             Catch::Contains("pictures anew"));
  CHECK(catalog.near_pictures(*catalog.serving(), vector_of(7), {}).entries.at(0).picture.key ==
        "7");
  CHECK(catalog.info().index.size == catalog.info().pictures);
}

TEST_CASE("a snapshot that is behind is brought in step") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  {
    Catalog catalog = create_catalog(shop);
    fill(catalog, 0, 30);
    add_embedded(catalog, "gone", 1000);
    add_embedded(catalog, "29", 1001);  // replaced below
  }
  {
    Catalog catalog = Catalog::open(shop);
    catalog.save_snapshot();
    const auto saved = read_file(shop / "index.snapshot");
    fill(catalog, 29, 60);
    const std::vector<std::string> gone{"gone"};
    catalog.remove(gone);
    // As a crash here would leave it.
    fs::create_directory(dir / "crashed");
    for (const char* name : {"catalog.db", "catalog.db-wal"}) {
      fs::copy_file(shop / name, dir / "crashed" / name);
    }
    write_file(dir / "crashed/index.snapshot", saved);
  }
  Log log;
  {
    Catalog catalog = open_with_log(dir / "crashed", log);
    CHECK(log.text() ==
          "info: bringing the index snapshot in step: 31 pictures to add, 2 to remove\n");
    check_items(catalog, 60);
  }
  Log quiet;
  check_items(open_with_log(dir / "crashed", quiet), 60);
  CHECK(quiet.text().empty());
}

TEST_CASE("what is added after a commit that failed is found after a crash") {
  const TempDir dir;
  const fs::path shop = dir / "shop";
  {
    Catalog catalog = create_catalog(shop);
    fill(catalog, 0, 10);
    catalog.declare_field({"price", vsearch::FieldType::kNumber});
  }
  {
    vsearch::detail::CatalogCore core(shop, CatalogOptions{});
    std::vector<vsearch::detail::ReadyItem> items(1);
    items[0].key = "bad";
    items[0].metadata = R"({"price":"a text"})";
    for (std::uint64_t i = 0; i < 20; ++i) {
      vsearch::detail::ReadyPicture picture;
      picture.embeddings.push_back({core.serving()->id(), random_vector(100 + i)});
      items[0].pictures.push_back(std::move(picture));
    }
    CHECK_THROWS_AS(core.commit(items, core.live()), vsearch::Error);
    core.save_snapshot();
  }
  Catalog catalog = Catalog::open(shop);
  fill(catalog, 10, 15);
  fs::copy(shop, dir / "crashed");
  const Catalog after = Catalog::open(dir / "crashed");
  check_items(after, 15);
}

TEST_CASE("opening can be cancelled and loses nothing") {
  TempDir dir;
  {
    Catalog catalog = create_catalog(dir / "shop");
    fill(catalog, 0, 20);
  }
  fs::remove(dir / "shop/index.snapshot");
  CatalogOptions options;
  options.progress = [](std::uint64_t, std::uint64_t) { return false; };
  CHECK_ERROR(Catalog::open(dir / "shop", options), ErrorCode::kCancelled, "nothing is lost");
  check_items(Catalog::open(dir / "shop"), 20);
}

TEST_CASE("a damaged catalog.db is refused and left as it is") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  const fs::path database = shop / "catalog.db";
  {
    Catalog catalog = create_catalog(shop);
    fill(catalog, 0, 200);
  }
  std::vector<std::byte> bytes = read_file(database);
  REQUIRE(bytes.size() > 20'000);
  std::string expected;
  ErrorCode code = ErrorCode::kCorrupt;
  std::string remedy = "was left as it is; restore it from a backup";
  const auto flip = [&](std::size_t at, int value) {
    bytes[at] ^= static_cast<std::byte>(value);
    write_file(database, bytes);
  };
  SECTION("empty") {
    write_file(database, {});
    expected = "it is empty";
  }
  SECTION("no database") {
    const std::string text(5000, 'x');
    write_file(database, std::as_bytes(std::span(text)));
    expected = "does not begin as an SQLite database";
  }
  SECTION("cut off within the header") {
    write_file(database, std::span(bytes).first(50));
    expected = "does not begin as an SQLite database";
  }
  SECTION("cut off") {
    write_file(database, std::span(bytes).first(bytes.size() / 2));
    expected = "it is cut off";
  }
  SECTION("another program's database") {
    flip(68, 0xFF);
    expected = "its header is not one of a catalogue";
  }
  SECTION("not in WAL mode any more") {
    flip(18, 3);
    expected = "its header is not one of a catalogue";
  }
  SECTION("an impossible page size") {
    flip(16, 0x33);
    expected = "catalog.db";
  }
  SECTION("the table of tables is garbage") {
    std::fill(bytes.begin() + 100, bytes.begin() + 4096, std::byte{0xA5});
    write_file(database, bytes);
    expected = "catalog.db";
  }
  SECTION("every page but the first is garbage") {
    std::fill(bytes.begin() + 4096, bytes.end(), std::byte{0xA5});
    write_file(database, bytes);
    expected = "catalog.db";
  }
  SECTION("a table is missing") {
    tamper(database, "PRAGMA foreign_keys = OFF; DROP TABLE embeddings_1");
    expected = "the table or index embeddings_1 is missing";
  }
  SECTION("a trigger was smuggled in") {
    tamper(database, "CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END");
    expected = "tables, indexes or triggers that are not ours";
  }
  SECTION("a table is another") {
    tamper(database, "ALTER TABLE items ADD COLUMN x TEXT");
    expected = "the table or index items is not as it was made";
  }
  SECTION("a setting is gone") {
    tamper(database, "DELETE FROM meta WHERE key = 'uuid'");
    expected = "meta has no uuid";
  }
  SECTION("a setting is nonsense") {
    tamper(database, "UPDATE meta SET value = '4x' WHERE key = 'generation'");
    expected = "meta has 4x for generation";
  }
  SECTION("no edition serves") {
    tamper(database, "UPDATE editions SET state = 'kept'");
    expected = "no edition is said to be serving";
  }
  SECTION("an edition has an impossible metric") {
    tamper(database, "UPDATE editions SET metric = 7");
    expected = "an edition has 7 as its metric";
  }
  SECTION("an embedding of another size") {
    tamper(database,
           "PRAGMA ignore_check_constraints = ON;"
           "UPDATE embeddings_1 SET vector = x'00' WHERE picture_id = 17");
    fs::remove(shop / "index.snapshot");
    expected = "the embedding of picture 17 has 1 bytes, not 192";
  }
  SECTION("an embedding that no index takes") {
    tamper(database, "UPDATE embeddings_1 SET vector = zeroblob(192) WHERE picture_id = 17");
    fs::remove(shop / "index.snapshot");
    expected = "an embedding: ";
  }
  SECTION("made by a newer version") {
    tamper(database, "PRAGMA user_version = 3");
    code = ErrorCode::kUnavailable;
    expected = "written by a newer libvsearch (schema 3, this one knows 2)";
    remedy = "use that version";
  }
  const auto before = read_file(database);
  CHECK_ERROR(Catalog::open(shop), code, database.string());
  CHECK_ERROR(Catalog::open(shop), code, expected);
  CHECK_ERROR(Catalog::open(shop), code, remedy);
  CHECK(read_file(database) == before);
}

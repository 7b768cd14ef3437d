// A catalogue is brought in step with a folder, a manifest, a query.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "catalog/sqlite.h"
#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/tamper.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::Duplicates;
using vsearch::ErrorCode;
using vsearch::FilesSource;
using vsearch::ManifestSource;
using vsearch::Query;
using vsearch::Searcher;
using vsearch::SyncAction;
using vsearch::SyncOptions;
using vsearch::SyncReport;

namespace fs = std::filesystem;

namespace {

std::vector<std::byte> picture(int number, int shift = 0) {
  return bmp(8, 8, [&](std::uint32_t x, std::uint32_t y) {
    const auto shade = [&](int step) {
      return static_cast<std::uint8_t>((number * step + static_cast<int>(x + 3 * y) * 7 + shift) %
                                       256);
    };
    return Rgb{shade(37), shade(101), shade(11)};
  });
}

struct Shop {
  Shop() { fs::create_directory(photos); }

  TempDir dir;
  fs::path photos = dir / "photos";
  std::shared_ptr<CountingEncoder> encoder = std::make_shared<CountingEncoder>();
  Catalog catalog = Catalog::create(dir / "shop", create_options(encoder));

  void put(const std::string& name, int number, int shift = 0) const {
    fs::create_directories((photos / name).parent_path());
    write_file(photos / name, picture(number, shift));
  }
  SyncReport sync(const SyncOptions& options = {}) {
    encoder->encoded = 0;
    return catalog.sync(FilesSource{.paths = {photos}}, options);
  }
  std::string nearest(int number, int shift = 0) const {
    const auto file = picture(number, shift);
    return Searcher(catalog).search(Query::encoded(file), {.k = 1}).at(0).key;
  }
};

// "add a, rename b from c"
std::string told(const SyncReport& report) {
  std::string text;
  for (const auto& change : report.changes) {
    if (!text.empty()) text += ", ";
    text += fmt::format("{} {}", vsearch::sync_action_name(change.action), change.key);
    if (!change.other.empty()) text += " from " + change.other;
  }
  return text;
}

// The keys of what was left out and is known again.
std::vector<std::string> left_out(const fs::path& catalog) {
  vsearch::db::Database database(catalog / "catalog.db", vsearch::db::Database::Mode::kOpen);
  vsearch::db::Query query = database.query("SELECT key FROM skipped ORDER BY key");
  std::vector<std::string> keys;
  while (query.step()) keys.emplace_back(query.text(0));
  return keys;
}

// Seconds are the least that every file system tells apart.
void set_time(const fs::path& file, int seconds) {
  fs::last_write_time(file, fs::file_time_type(std::chrono::seconds(1'700'000'000 + seconds)));
}

}  // namespace

TEST_CASE("a folder: only what has changed is encoded") {
  Shop shop;
  shop.put("a.bmp", 1);
  shop.put("deep/er/b.bmp", 2);
  shop.put("c.bmp", 3);
  auto report = shop.sync();
  CHECK(told(report) == "add a.bmp, add c.bmp, add deep/er/b.bmp");
  CHECK(report.listed == 3);
  CHECK(report.encoded == 3);
  CHECK(shop.encoder->encoded == 3);
  CHECK(shop.nearest(2) == "deep/er/b.bmp");

  report = shop.sync();
  CHECK(report.changes.empty());
  CHECK(report.unchanged == 3);
  CHECK(shop.encoder->encoded == 0);

  const auto id = shop.catalog.pictures_of("c.bmp");
  shop.put("a.bmp", 4);
  set_time(shop.photos / "a.bmp", 1);  // of the same size, so the time tells
  set_time(shop.photos / "c.bmp", 2);  // touched: its content is as it was
  shop.put("new.bmp", 5);
  fs::remove(shop.photos / "deep/er/b.bmp");
  SyncOptions options;
  options.max_removed_share = 0.5;
  report = shop.sync(options);
  CHECK(told(report) == "replace a.bmp, remove deep/er/b.bmp, add new.bmp");
  CHECK(report.unchanged == 1);
  CHECK(shop.encoder->encoded == 2);
  CHECK(shop.nearest(4) == "a.bmp");
  CHECK(shop.catalog.pictures_of("c.bmp") == id);
  CHECK(shop.catalog.keys() == std::vector<std::string>{"a.bmp", "c.bmp", "new.bmp"});
  // The touch was noted: nothing is read again, as a file that cannot be read shows.
  CHECK(shop.sync().unchanged == 3);
}

TEST_CASE("renamed files keep their embeddings") {
  Shop shop;
  for (int i = 0; i < 10; ++i) shop.put(fmt::format("old/{}.bmp", i), i);
  shop.sync();
  fs::rename(shop.photos / "old", shop.photos / "new");
  shop.put("new/10.bmp", 10);
  const auto report = shop.sync();  // that is no removal of everything
  CHECK(report.count(SyncAction::kRename) == 10);
  CHECK(report.count(SyncAction::kAdd) == 1);
  CHECK(report.count(SyncAction::kRemove) == 0);
  CHECK(shop.encoder->encoded == 1);
  CHECK(shop.catalog.info().items == 11);
  for (int i = 0; i < 11; ++i) CHECK(shop.nearest(i) == fmt::format("new/{}.bmp", i));
  CHECK(report.changes[0].other.starts_with("old/"));
}

TEST_CASE("folders say nothing of metadata, so these stay") {
  Shop shop;
  for (int i = 0; i < 10; ++i) shop.put(fmt::format("{}.bmp", i), i);
  shop.sync();
  const std::vector<vsearch::MetadataPatch> patches{{"0.bmp", R"({"price": 1})"},
                                                    {"1.bmp", R"({"price": 2})"}};
  shop.catalog.patch(patches);
  CHECK(shop.sync().changes.empty());
  shop.put("0.bmp", 50);
  set_time(shop.photos / "0.bmp", 1);
  fs::rename(shop.photos / "1.bmp", shop.photos / "one.bmp");
  CHECK(told(shop.sync()) == "replace 0.bmp, rename one.bmp from 1.bmp");
  CHECK(shop.catalog.get("0.bmp")->metadata == R"({"price":1})");
  CHECK(shop.catalog.get("one.bmp")->metadata == R"({"price":2})");
}

TEST_CASE("what is patched while folders are taken stays") {
  Shop shop;
  for (int i = 0; i < 10; ++i) shop.put(fmt::format("{}.bmp", i), i);
  shop.sync();
  set_time(shop.photos / "0.bmp", 1);  // touched
  shop.put("1.bmp", 50);
  set_time(shop.photos / "1.bmp", 1);
  fs::rename(shop.photos / "2.bmp", shop.photos / "two.bmp");
  int price = 0;  // at each moment of the plan another
  const auto report = shop.catalog.sync(
      FilesSource{.paths = {shop.photos}}, {}, [&](std::uint64_t, std::uint64_t total) {
        if (total > 0) return true;
        const std::string metadata = fmt::format(R"({{"price":{}}})", ++price);
        std::vector<vsearch::MetadataPatch> patches;
        for (const char* const key : {"0.bmp", "1.bmp", "2.bmp"})
          patches.push_back({key, metadata});
        shop.catalog.patch(patches);
        return true;
      });
  CHECK(told(report) == "replace 1.bmp, rename two.bmp from 2.bmp");
  REQUIRE(price > 2);
  const std::string last = fmt::format(R"({{"price":{}}})", price);
  for (const char* const key : {"0.bmp", "1.bmp", "two.bmp"}) {
    CAPTURE(key);
    CHECK(shop.catalog.get(key)->metadata == last);
  }
}

TEST_CASE("what cannot be looked at is told, and nothing is removed") {
  Shop shop;
  for (int i = 0; i < 10; ++i) shop.put(fmt::format("{}.bmp", i), i);
  shop.sync();
  fs::remove(shop.photos / "0.bmp");
  // What stat() refuses without saying that it is not there, as a network drive may.
  fs::create_symlink(std::string(300, 'x'), shop.photos / "1.lnk");
  SyncReport report = shop.sync();
  CHECK(told(report).empty());
  REQUIRE(report.problems.size() == 1);
  CHECK_THAT(report.problems[0], Catch::Contains("1.lnk"));
  fs::remove(shop.photos / "1.lnk");
  report = shop.sync();
  CHECK(told(report) == "remove 0.bmp");
  CHECK(report.problems.empty());
}

TEST_CASE("a source that lost most of its items is refused") {
  Shop shop;
  for (int i = 0; i < 20; ++i) shop.put(fmt::format("{}.bmp", i), i);
  shop.sync();
  for (int i = 0; i < 5; ++i) fs::remove(shop.photos / fmt::format("{}.bmp", i));
  shop.put("new.bmp", 100);
  CHECK_ERROR(shop.sync(), ErrorCode::kRefused, "lacks 5 of the 20 items");
  CHECK(shop.catalog.info().items == 20);  // nor was anything added
  SyncOptions options;
  SECTION("unless it is told to") {
    options.max_removed_share = 0.25;
    CHECK(shop.sync(options).count(SyncAction::kRemove) == 5);
    CHECK(shop.catalog.info().items == 16);
  }
  SECTION("or not to remove at all") {
    options.remove_missing = false;
    CHECK(shop.sync(options).count(SyncAction::kRemove) == 0);
    CHECK(shop.catalog.info().items == 21);
  }
  SECTION("and an empty folder is an error") {
    fs::remove_all(shop.photos);
    fs::create_directory(shop.photos);
    CHECK_THROWS_AS(shop.sync(), vsearch::Error);
    CHECK(shop.catalog.info().items == 20);
  }
}

TEST_CASE("a bad picture keeps the item's old embedding, and is told") {
  Shop shop;
  for (int i = 0; i < 3; ++i) shop.put(fmt::format("{}.bmp", i), i);
  shop.sync();
  const std::string broken = "BM, but no picture";
  write_file(shop.photos / "1.bmp", std::as_bytes(std::span(broken)));
  write_file(shop.photos / "bad.bmp", std::as_bytes(std::span(broken)));
  for (int again = 0; again < 2; ++again) {
    const auto report = shop.sync();
    CHECK(report.changes.empty());
    REQUIRE(report.failures.size() == 2);
    CHECK(report.failures[0].key == "bad.bmp");
    CHECK(report.failures[1].key == "1.bmp");
    CHECK(report.failures[1].code == ErrorCode::kBadImage);
    CHECK(report.failures[1].path == (shop.photos / "1.bmp").string());
    CHECK(shop.nearest(1) == "1.bmp");
    CHECK(shop.catalog.info().items == 3);
  }
  shop.put("1.bmp", 7);
  CHECK(told(shop.sync()) == "replace 1.bmp");
  CHECK(shop.nearest(7) == "1.bmp");
}

TEST_CASE("a dry run tells what would be done, and does nothing") {
  Shop shop;
  for (int i = 0; i < 6; ++i) shop.put(fmt::format("{}.bmp", i), i);
  shop.sync();
  const auto generation = shop.catalog.info().generation;
  shop.put("0.bmp", 50);
  set_time(shop.photos / "0.bmp", 1);
  set_time(shop.photos / "1.bmp", 1);
  fs::rename(shop.photos / "2.bmp", shop.photos / "two.bmp");
  fs::remove(shop.photos / "3.bmp");
  shop.put("new.bmp", 51);
  SyncOptions options;
  options.dry_run = true;
  const std::string plan = "replace 0.bmp, remove 3.bmp, add new.bmp, rename two.bmp from 2.bmp";
  auto report = shop.sync(options);
  CHECK(told(report) == plan);
  CHECK(shop.encoder->encoded == 0);
  CHECK(shop.catalog.info().generation == generation);
  CHECK(told(shop.sync()) == plan);
  CHECK(shop.encoder->encoded == 2);
  CHECK(shop.sync(options).changes.empty());
}

TEST_CASE("stopped at any point, the next call goes on") {
  Shop shop;
  for (int i = 0; i < 300; ++i) shop.put(fmt::format("{}.bmp", i), i, i / 7);
  const FilesSource source{.paths = {shop.photos}};
  CHECK_ERROR(shop.catalog.sync(
                  source, {},
                  [](std::uint64_t done, std::uint64_t total) { return total == 0 || done < 100; }),
              ErrorCode::kCancelled, "");
  const auto items = shop.catalog.info().items;
  CHECK(items >= 64);
  CHECK(items < 300);
  std::vector<std::uint64_t> told;
  shop.encoder->encoded = 0;
  const auto report = shop.catalog.sync(source, {}, [&](std::uint64_t done, std::uint64_t total) {
    if (total > 0) {
      CHECK(total == 300 - items);
      told.push_back(done);
    }
    return true;
  });
  CHECK(report.unchanged == items);
  CHECK(shop.encoder->encoded == 300 - items);
  CHECK(std::ranges::is_sorted(told));
  CHECK(told.back() == 300 - items);
}

TEST_CASE("a manifest: metadata alone are changed without looking at pictures") {
  Shop shop;
  shop.put("1.bmp", 1);
  shop.put("2.bmp", 2);
  const auto write = [&](const std::string& text) {
    std::ofstream(shop.photos / "items.csv") << text;
  };
  const ManifestSource source{.file = shop.photos / "items.csv"};
  write("key,path,price,role\nshirt,1.bmp,10,front\nshirt,2.bmp,,back\nsock,2.bmp,3,\n");
  CHECK(told(shop.catalog.sync(source)) == "add shirt, add sock");
  CHECK(shop.encoder->encoded == 3);
  REQUIRE(shop.catalog.get("shirt")->pictures.size() == 2);
  CHECK(shop.catalog.get("shirt")->pictures[1].role == "back");
  CHECK(shop.catalog.get("shirt")->metadata == R"({"price":10})");
  const auto ids = shop.catalog.pictures_of("shirt");
  shop.encoder->encoded = 0;
  write("key,path,price,role\nshirt,1.bmp,11,front\nshirt,2.bmp,,worn\nsock,2.bmp,3,\n");
  auto report = shop.catalog.sync(source);
  CHECK(told(report) == "patch shirt");
  CHECK(report.unchanged == 1);
  CHECK(shop.encoder->encoded == 0);
  CHECK(shop.catalog.pictures_of("shirt") == ids);
  CHECK(shop.catalog.get("shirt")->metadata == R"({"price":11})");
  CHECK(shop.catalog.get("shirt")->pictures[1].role == "worn");
  CHECK(shop.catalog.sync(source).changes.empty());

  // A picture less is another item to find, but its content is known.
  write("key,path,price,role\nshirt,1.bmp,11,front\nsock,2.bmp,3,\n");
  CHECK(told(shop.catalog.sync(source)) == "replace shirt");
  CHECK(shop.encoder->encoded == 0);
  // A crop is.
  write("key,path,price,role,crop\nshirt,1.bmp,11,front,0 0 0.5 0.5\nsock,2.bmp,3,,\n");
  CHECK(told(shop.catalog.sync(source)) == "replace shirt");
  CHECK(shop.encoder->encoded == 1);
  CHECK(shop.catalog.get("shirt")->pictures[0].crop == vsearch::CropBox{0, 0, 0.5F, 0.5F});
  // A file that is not there is a failure of its item.
  write("key,path,price,role,crop\nshirt,none.bmp,11,front,\nsock,2.bmp,3,,\n");
  report = shop.catalog.sync(source);
  REQUIRE(report.failures.size() == 1);
  CHECK(report.failures[0].code == ErrorCode::kFileNotFound);
  CHECK(shop.catalog.get("shirt"));
}

TEST_CASE("several sources fill one catalogue by prefixes") {
  Shop shop;
  const fs::path other = shop.dir / "other";
  fs::create_directory(other);
  shop.put("1.bmp", 1);
  write_file(other / "1.bmp", picture(2));
  write_file(other / "2.bmp", picture(3));
  SyncOptions options;
  options.key_prefix = "shoes/";
  CHECK(told(shop.catalog.sync(FilesSource{.paths = {other}}, options)) ==
        "add shoes/1.bmp, add shoes/2.bmp");
  options.key_prefix = "hats/";
  CHECK(told(shop.sync(options)) == "add hats/1.bmp");
  fs::remove(other / "1.bmp");
  options.key_prefix = "shoes/";
  options.max_removed_share = 0.5;
  CHECK(told(shop.catalog.sync(FilesSource{.paths = {other}}, options)) == "remove shoes/1.bmp");
  CHECK(shop.catalog.keys() == std::vector<std::string>{"hats/1.bmp", "shoes/2.bmp"});
}

TEST_CASE("new near-duplicates can be left out or linked") {
  Shop shop;
  shop.put("b.bmp", 1);
  shop.put("c.bmp", 2);
  shop.sync();
  shop.put("a.bmp", 1);     // the same content as b
  shop.put("d.bmp", 2, 1);  // nearly c
  shop.put("e.bmp", 9);     // new
  shop.put("f.bmp", 9, 1);  // nearly e, which comes with it
  SyncOptions options;
  SECTION("left out") {
    options.duplicates = Duplicates::kSkip;
    CHECK(told(shop.sync(options)) ==
          "duplicate a.bmp from b.bmp, duplicate d.bmp from c.bmp, add e.bmp, duplicate f.bmp from "
          "e.bmp");
    CHECK(shop.catalog.info().items == 3);
    const auto again = shop.sync(options);
    CHECK(again.changes.empty());
    CHECK(again.unchanged == 6);
    CHECK(shop.encoder->encoded == 0);
    // If what it is like goes, it comes.
    fs::remove(shop.photos / "c.bmp");
    options.max_removed_share = 1;
    CHECK(told(shop.sync(options)) == "remove c.bmp, add d.bmp");
    // What was left out and is gone is forgotten.
    fs::remove(shop.photos / "a.bmp");
    CHECK(shop.sync(options).changes.empty());
    shop.catalog = Catalog::create(shop.dir / "none", create_options(shop.encoder));  // closes it
    CHECK(left_out(shop.dir / "shop") == std::vector<std::string>{"d.bmp", "f.bmp"});
  }
  SECTION("linked") {
    options.duplicates = Duplicates::kLink;
    CHECK(told(shop.sync(options)) == "add a.bmp, add d.bmp, add e.bmp, add f.bmp");
    CHECK(shop.catalog.get("a.bmp")->metadata == R"({"duplicate_of":"b.bmp"})");
    CHECK(shop.catalog.get("e.bmp")->metadata == "{}");
    CHECK(shop.catalog.get("f.bmp")->metadata == R"({"duplicate_of":"e.bmp"})");
    CHECK(shop.sync(options).changes.empty());
  }
}

TEST_CASE("an item that was left out is looked at again when any picture of it is another") {
  Shop shop;
  shop.put("1.bmp", 1);
  shop.put("2.bmp", 9);
  shop.put("sock.bmp", 9);
  const auto write = [&](const std::string& text) {
    std::ofstream(shop.photos / "items.csv") << text;
  };
  const ManifestSource source{.file = shop.photos / "items.csv"};
  SyncOptions options;
  options.duplicates = Duplicates::kSkip;
  write("key,path\na,sock.bmp\npair,1.bmp\npair,2.bmp\n");
  CHECK(told(shop.catalog.sync(source, options)) == "add a, duplicate pair from a");
  CHECK(shop.catalog.sync(source, options).unchanged == 2);
  shop.put("2.bmp", 3);
  set_time(shop.photos / "2.bmp", 1);
  CHECK(told(shop.catalog.sync(source, options)) == "add pair");
}

TEST_CASE("a catalogue of an older version learns the stamps of its files") {
  Shop shop;
  for (int i = 0; i < 5; ++i) shop.put(fmt::format("{}.bmp", i), i);
  shop.sync();
  const fs::path path = shop.dir / "shop";
  shop.catalog = Catalog::create(shop.dir / "none", create_options(shop.encoder));
  tamper(path / "catalog.db", "UPDATE pictures SET file_bytes = NULL, file_mtime_ns = NULL");
  vsearch::CatalogOptions options;
  options.encoder = shop.encoder;
  shop.catalog = Catalog::open(path, options);
  auto report = shop.sync();
  CHECK(report.changes.empty());
  CHECK(report.unchanged == 5);
  CHECK(shop.encoder->encoded == 0);
  // They are noted: a content that changes under an unchanged stamp is not seen.
  const auto time = fs::last_write_time(shop.photos / "1.bmp");
  shop.put("1.bmp", 77);
  fs::last_write_time(shop.photos / "1.bmp", time);
  CHECK(shop.sync().changes.empty());
}

TEST_CASE("what makes no sense is refused") {
  Shop shop;
  shop.put("1.bmp", 1);
  SyncOptions options;
  options.max_removed_share = 1.5;
  CHECK_ERROR(shop.sync(options), ErrorCode::kInvalidArgument, "max_removed_share is 1.5");
  options = {};
  options.duplicate_distance = -1;
  CHECK_ERROR(shop.sync(options), ErrorCode::kInvalidArgument, "duplicate_distance is -1");
  CHECK_ERROR(shop.catalog.sync(FilesSource{.paths = {"/no/such"}}), ErrorCode::kFileNotFound,
              "/no/such");
}

TEST_CASE("a folder is watched: what changes in it is taken, and trouble passes") {
  Shop shop;
  for (int i = 0; i < 10; ++i) shop.put(fmt::format("{}.bmp", i), i);
  const fs::path away = shop.dir / "away";
  std::vector<std::string> reports;
  std::vector<std::string> troubles;
  vsearch::WatchOptions how;
  how.quiet = std::chrono::milliseconds(50);
  SyncOptions options;
  options.max_removed_share = 0.3;
  shop.catalog.watch(
      FilesSource{.paths = {shop.photos}}, options, how,
      [&](const SyncReport& report) {
        reports.push_back(told(report));
        switch (reports.size()) {
          case 1:
            CHECK(report.count(SyncAction::kAdd) == 10);
            shop.put("new/one.bmp", 20);
            return true;
          case 2:
            fs::rename(shop.photos / "new/one.bmp", shop.photos / "two.bmp");
            return true;
          case 3:  // the folder is empty for a moment, as one whose disk is not mounted
            fs::create_directory(away);
            for (const auto& file : fs::directory_iterator(shop.photos)) {
              fs::rename(file.path(), away / file.path().filename());
            }
            return true;
          case 4:  // too many go
            for (int i = 0; i < 5; ++i) fs::remove(shop.photos / fmt::format("{}.bmp", i));
            return true;
          default:
            return false;
        }
      },
      [&](const vsearch::Error& error) {
        troubles.emplace_back(error.what());
        if (error.code() == ErrorCode::kInvalidArgument) {
          for (const auto& file : fs::directory_iterator(away)) {
            fs::rename(file.path(), shop.photos / file.path().filename());
          }
          return;
        }
        CHECK(error.code() == ErrorCode::kRefused);
        for (int i = 0; i < 4; ++i) shop.put(fmt::format("{}.bmp", i), i);  // they are back
      },
      [&](std::uint64_t, std::uint64_t) { return true; });
  REQUIRE(reports.size() == 5);
  CHECK(reports[1] == "add new/one.bmp");
  CHECK(reports[2] == "rename two.bmp from new/one.bmp");
  CHECK(reports[3].empty());
  CHECK(reports[4] == "remove 4.bmp");
  REQUIRE(troubles.size() == 2);
  CHECK_THAT(troubles[0], Catch::Contains("holds no pictures"));
  CHECK(shop.nearest(20) == "two.bmp");
}

TEST_CASE("watching ends when it is told to") {
  Shop shop;
  shop.put("1.bmp", 1);
  int asked = 0;
  shop.catalog.watch(FilesSource{.paths = {shop.photos}}, {}, {}, {}, {},
                     [&](std::uint64_t, std::uint64_t) { return ++asked < 20; });
  CHECK(asked >= 20);
  SyncOptions options;
  options.dry_run = true;
  CHECK_ERROR(shop.catalog.watch(FilesSource{.paths = {shop.photos}}, options, {}, {}, {}, {}),
              ErrorCode::kInvalidArgument, "dry run");
}

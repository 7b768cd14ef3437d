// Queries on a database of the shop's, which must stay as it is.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "catalog/sqlite.h"
#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/sources.h"
#include "support/temp_dir.h"
#include "vsearch/source.h"

using namespace vsearch_test;
using namespace std::chrono_literals;
using vsearch::CropBox;
using vsearch::ErrorCode;
using vsearch::list_source;
using vsearch::SourceItem;
using vsearch::SourceListing;
using vsearch::SqlSource;
using vsearch::db::Database;

namespace fs = std::filesystem;

namespace {

using Keys = std::vector<std::string>;

// A database made by `sql`, and closed again.
fs::path make_database(const fs::path& path, const std::string& sql) {
  Database(path, Database::Mode::kCreate).execute(sql.c_str());
  return path;
}

fs::path make_shop(const TempDir& dir) {
  return make_database(
      dir / "shop.db",
      "CREATE TABLE items(id INTEGER PRIMARY KEY, photo TEXT, title TEXT, price);"
      "INSERT INTO items VALUES (1, 'a.jpg', 'Größe ✓', 9.5), (2, 'b.jpg', NULL, 3)");
}

SourceListing list_query(const fs::path& database, const std::string& query,
                         const std::string& key_column = "key",
                         const vsearch::Progress& progress = {}) {
  SqlSource source;
  source.database = database;
  source.query = query;
  source.key_column = key_column;
  return list_source(source, progress);
}

const std::string kAll = "SELECT id AS key, photo AS path, title, price FROM items ORDER BY id";

Keys files_in(const fs::path& folder) {
  Keys names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

}  // namespace

TEST_CASE("rows of a query are items") {
  TempDir dir;
  const fs::path shop = make_shop(dir);
  SECTION("with what their columns hold; NULL says nothing") {
    const SourceListing listing = list_query(shop, kAll + " ;; -- that is all\n /* yes */ ");
    CHECK(keys_in(listing) == Keys{"1", "2"});
    CHECK(listing.items[0].metadata == R"({"price":9.5,"title":"Größe ✓"})");
    CHECK(listing.items[1].metadata == R"({"price":3})");
    CHECK(pictures_in(listing, dir.path()) == Pictures{{"1", {"a.jpg"}}, {"2", {"b.jpg"}}});
  }
  SECTION("rows with one key are one item, with role and crop") {
    const SourceListing listing = list_query(
        shop,
        "SELECT 'x' AS sku, photo AS path, CASE id WHEN 1 THEN 'front' END AS role, "
        "CASE id WHEN 1 THEN '0 0 0.5 1' END AS crop, 'https://x/' || id AS url FROM items",
        "sku");
    REQUIRE(listing.items.size() == 1);
    const SourceItem& item = listing.items[0];
    CHECK(item.metadata == R"({"url":"https://x/1"})");
    CHECK(item.pictures.at(0).role == "front");
    CHECK(item.pictures.at(0).crop == CropBox{0, 0, 0.5F, 1});
    CHECK(item.pictures.at(1).role.empty());
    CHECK(item.pictures.at(1).crop.is_whole());
  }
  SECTION("a column with metadata is merged; other columns go before it") {
    const SourceListing listing =
        list_query(shop,
                   "SELECT id AS key, photo AS path, 1 AS a, json_object('a', 2, 'b', json('[3]')) "
                   "AS metadata "
                   "FROM items WHERE id = 1 UNION ALL SELECT 9, 'c.jpg', 4, NULL");
    CHECK(metadata_in(listing) ==
          std::map<std::string, std::string>{{"1", R"({"a":1,"b":[3]})"}, {"9", R"({"a":4})"}});
  }
  SECTION("what it says of a crop or a role is not of the picture") {
    const SourceListing listing =
        list_query(shop,
                   "SELECT 1 AS key, 'a' AS path, 'front' AS role, "
                   "json_object('crop', 'slim', 'role', 'kids') AS metadata");
    CHECK(listing.items[0].metadata == R"({"crop":"slim","role":"kids"})");
    CHECK(listing.items[0].pictures.at(0).role == "front");
    CHECK(listing.items[0].pictures.at(0).crop.is_whole());
  }
  SECTION("integers keep all their digits") {
    CHECK(list_query(shop, "SELECT 'k' AS key, 'a' AS path, 9223372036854775807 AS n")
              .items[0]
              .metadata == R"({"n":9223372036854775807})");
  }
  SECTION("no rows, no items") {
    CHECK(list_query(shop, "SELECT 1 AS key, 'a' AS path WHERE 0").items.empty());
  }
  SECTION("full-text tables, views and common table expressions work") {
    Database(shop, Database::Mode::kOpen)
        .execute(
            "CREATE VIRTUAL TABLE words USING fts5(photo, text);"
            "INSERT INTO words VALUES ('red.jpg', 'red shirt'), ('blue.jpg', 'blue shoe');"
            "CREATE VIEW first AS SELECT title FROM items WHERE id = 1");
    CHECK(keys_in(
              list_query(shop,
                         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                         "i < 3) SELECT i AS key, words.photo AS path, title FROM n, first, words "
                         "WHERE words MATCH 'red'")) == Keys{"1", "2", "3"});
  }
  SECTION("the file's name is never taken for more than a name") {
    const fs::path odd = make_database(dir / "odd?mode=rwc#%41.db", "CREATE TABLE t(a)");
    CHECK(list_query(odd, "SELECT 1 AS key, a AS path FROM t").items.empty());
  }
}

TEST_CASE("a query that does more than read is refused and changes nothing") {
  TempDir dir;
  const fs::path shop = make_shop(dir);
  const std::vector<std::byte> before = read_file(shop);
  const fs::path other = dir / "other.db";
  for (const std::string& query : std::vector<std::string>{
           kAll + "; DROP TABLE items",
           kAll + ";\n--\n DELETE FROM items",
           kAll + "; SELECT 1",
           kAll + "; nonsense",
       }) {
    INFO(query);
    CHECK_ERROR(list_query(shop, query), ErrorCode::kInvalidArgument,
                "the query on '" + shop.string() + "' is more than one statement; give one SELECT");
  }
  for (const std::string& query : std::vector<std::string>{
           "DROP TABLE items",
           "DELETE FROM items RETURNING id AS key, photo AS path",
           "INSERT INTO items(photo) VALUES ('x') RETURNING id AS key, photo AS path",
           "WITH x AS (SELECT 1) UPDATE items SET photo = '' RETURNING id AS key, photo AS path",
           "CREATE TABLE t AS SELECT 1",
           "CREATE TEMP TABLE t(a)",
           "ATTACH '" + other.string() + "' AS other",
           "VACUUM INTO '" + other.string() + "'",
           "PRAGMA journal_mode = WAL",
           "PRAGMA user_version",
           "BEGIN IMMEDIATE",
           "EXPLAIN DELETE FROM items",
       }) {
    INFO(query);
    CHECK_ERROR(list_query(shop, query), ErrorCode::kInvalidArgument,
                "does more than read; give one SELECT");
  }
  CHECK(read_file(shop) == before);
  CHECK(files_in(dir.path()) == Keys{"shop.db"});
}

TEST_CASE("what is wrong with a query is said") {
  TempDir dir;
  const fs::path shop = make_shop(dir);
  struct Case {
    std::string query, message;
  };
  for (const Case& bad : std::vector<Case>{
           {"", "is empty; give a SELECT"},
           {" ; -- nothing", "is empty; give a SELECT"},
           {std::string("SELECT 1\0; DROP", 15), "holds the character U+0000"},
           {"SELEC 1", "syntax error"},
           {"SELECT * FROM products", "no such table: products"},
           {"SELECT colour FROM items", "no such column: colour"},
           {"SELECT load_extension('x') AS key, '' AS path", "not authorized"},
           {"SELECT readfile('/etc/passwd') AS key, 'a' AS path", "no such function: readfile"},
           {"SELECT id AS key, photo AS path FROM items WHERE id = ?", "has parameters"},
           {"SELECT id, photo AS path FROM items", "no column 'key'; the columns are: id, path"},
           {"SELECT id AS key, photo FROM items", "no column 'path'"},
           {"SELECT id AS key, photo AS path, 1 AS x, 2 AS x FROM items", "two columns are called"},
           {"SELECT id AS key, photo AS path, 1 AS '' FROM items", "column 3 has no name; give it"},
           {"SELECT NULL AS key, photo AS path FROM items", "row 1: there is no 'key'"},
           {"SELECT id AS key, title AS path FROM items ORDER BY id", "row 2: there is no 'path'"},
           {"SELECT 1.5 AS key, 'a' AS path", "row 1: 'key' must be a text or an integer"},
           {"SELECT 1 AS key, photo AS path, x'00' AS pic FROM items",
            "row 1: the column 'pic' is a BLOB, which metadata cannot hold; leave it out"},
           {"SELECT x'41' AS key, 'a' AS path", "the column 'key' is a BLOB"},
           {"SELECT 1 AS key, 'a' AS path, 9e999 AS n", "the column 'n' is infinite"},
           {"SELECT 1 AS key, 'a' AS path, CAST(x'ff' AS TEXT) AS n",
            "row 1: the text is not UTF-8"},
           {"SELECT CAST(x'ff' AS TEXT) AS key, 'a' AS path", "row 1: the text is not UTF-8"},
           {"SELECT 1 AS key, 'a' AS path, 'x' AS metadata", "holds no JSON object; rename it"},
           {"SELECT 1 AS key, 'a' AS path, '[1]' AS metadata", "holds no JSON object; rename it"},
           {"SELECT 1 AS key, 'a' AS path, 5 AS metadata", "holds no JSON object; rename it"},
           {"SELECT 1 AS key, 'a' AS path, '0 0 2 1' AS crop", "is not four shares"},
           {"SELECT 1 AS key, 'a' AS path UNION ALL SELECT 1, './a'",
            "twice; keep one of its rows"},
           {"SELECT 1 AS key, 'a' AS path, json_extract('{', '$.x') AS n", "malformed JSON"},
       }) {
    INFO(bad.query);
    CHECK_ERROR(list_query(shop, bad.query), ErrorCode::kInvalidArgument, bad.message);
    CHECK_ERROR(list_query(shop, bad.query), ErrorCode::kInvalidArgument, shop.string());
  }
}

TEST_CASE("what is no database is said") {
  TempDir dir;
  CHECK_ERROR(list_query(dir / "none.db", kAll), ErrorCode::kFileNotFound,
              "the database '" + (dir / "none.db").string() + "' does not exist");
  CHECK_ERROR(list_query(write_text(dir / "text.db", std::string(4096, 'x')), kAll),
              ErrorCode::kInvalidArgument, "text.db' is no SQLite database");
  CHECK_ERROR(list_query(dir.path(), kAll), ErrorCode::kIo, "cannot read '");
  const fs::path shop = make_shop(dir);
  std::vector<std::byte> bytes = read_file(shop);
  std::fill(bytes.begin() + 4096, bytes.end(), std::byte{0x5A});
  write_file(shop, bytes);
  CHECK_ERROR(list_query(shop, kAll), ErrorCode::kIo, "is damaged");
  CHECK(files_in(dir.path()) == Keys{"shop.db", "text.db"});
}

TEST_CASE("a database may be in use") {
  TempDir dir;
  const fs::path shop = make_shop(dir);
  const std::string add = "INSERT INTO items VALUES (3, 'c.jpg', 'C', 1)";

  SECTION("what is not committed yet is not seen") {
    Database writer(shop, Database::Mode::kOpen);
    writer.execute(("BEGIN IMMEDIATE; " + add).c_str());
    CHECK(list_query(shop, kAll).items.size() == 2);
    writer.execute("COMMIT");
    CHECK(list_query(shop, kAll).items.size() == 3);
  }
  SECTION("with a write-ahead log neither, and the log is read") {
    Database writer(shop, Database::Mode::kOpen);
    writer.execute(("PRAGMA journal_mode = WAL; BEGIN; " + add).c_str());
    CHECK(list_query(shop, kAll).items.size() == 2);
    writer.execute("COMMIT");
    CHECK(list_query(shop, kAll).items.size() == 3);
    CHECK(files_in(dir.path()) == Keys{"shop.db", "shop.db-shm", "shop.db-wal"});
  }
  SECTION("a log that nobody uses is not made anew") {
    Database(shop, Database::Mode::kOpen).execute("PRAGMA journal_mode = WAL");
    REQUIRE(files_in(dir.path()) == Keys{"shop.db"});
    CHECK(list_query(shop, kAll).items.size() == 2);
    CHECK(files_in(dir.path()) == Keys{"shop.db"});
  }
  SECTION("and if somebody begins to use it meanwhile, reading begins anew") {
    Database(shop, Database::Mode::kOpen).execute("PRAGMA journal_mode = WAL");
    std::unique_ptr<Database> writer;
    const SourceListing listing = list_query(shop, kAll, "key", [&](auto, auto) {
      if (!writer) {
        writer = std::make_unique<Database>(shop, Database::Mode::kOpen);
        writer->execute(add.c_str());
      }
      return true;
    });
    CHECK(keys_in(listing) == Keys{"1", "2", "3"});
  }
  SECTION("a short lock is waited for, a long one reported") {
    const auto locked_for = [&](std::chrono::milliseconds time) {
      Database writer(shop, Database::Mode::kOpen);
      writer.execute(("BEGIN EXCLUSIVE; " + add).c_str());
      std::thread release([&] {
        std::this_thread::sleep_for(time);
        writer.execute("COMMIT");
      });
      const auto begin = std::chrono::steady_clock::now();
      std::size_t items = 0;
      const auto error = error_of([&] { items = list_query(shop, kAll).items.size(); });
      CHECK(items == (error ? 0 : 3));
      CHECK(std::chrono::steady_clock::now() - begin < 7s);
      release.join();
      return error;
    };
    CHECK_FALSE(locked_for(200ms));
    Database(shop, Database::Mode::kOpen).execute("DELETE FROM items WHERE id = 3");
    const auto error = locked_for(8s);
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::kBusy);
    CHECK_THAT(error->what(), Catch::Contains("another program is writing to it"));
  }
}

TEST_CASE("a program that crashed left its log, which is read") {
  TempDir dir;
  const fs::path shop = make_shop(dir);
  const pid_t child = fork();
  if (child == 0) {
    Database writer(shop, Database::Mode::kOpen);
    writer.execute("PRAGMA journal_mode = WAL; INSERT INTO items VALUES (3, 'c.jpg', 'C', 1)");
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(fs::file_size(shop.string() + "-wal") > 0);
  CHECK(list_query(shop, kAll).items.size() == 3);
}

TEST_CASE("a query that works long can be stopped") {
  TempDir dir;
  const fs::path shop = make_shop(dir);
  const std::string endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
      "SELECT i AS key, 'a' AS path FROM n WHERE i < 0";
  int asked = 0;
  CHECK_ERROR(list_query(shop, endless, "key", [&](auto, auto) { return ++asked < 4; }),
              ErrorCode::kCancelled, "stopped");
  CHECK(asked == 4);
  CHECK_THROWS_WITH(
      list_query(shop, endless, "key",
                 [&](auto, auto) -> bool { throw std::runtime_error("the caller's own"); }),
      "the caller's own");
  std::uint64_t counted = 0;
  list_query(shop, kAll, "key", [&](std::uint64_t done, std::uint64_t) {
    counted = done;
    return true;
  });
  CHECK(counted == 2);
}

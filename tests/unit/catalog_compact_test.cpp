// Catalog::compact: gives room back, and loses nothing whatever happens meanwhile.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "catalog/sqlite.h"
#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/sanitized.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::CompactReport;
using vsearch::ErrorCode;

namespace {

namespace fs = std::filesystem;

// Removes the items [first, last), some at a time: of many the index would build itself anew.
void empty_out(Catalog& catalog, std::uint64_t first, std::uint64_t last) {
  while (first < last) {
    std::vector<std::string> keys;
    for (; first < last && keys.size() < 50; ++first) keys.push_back(std::to_string(first));
    CHECK(catalog.remove(keys).empty());
  }
}

}  // namespace

TEST_CASE("compacting gives back the room of what was removed") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  {
    Catalog catalog = create_catalog(shop);
    fill(catalog, 0, 3000);
    empty_out(catalog, 500, 3000);
    const auto held = catalog.serving();
    const CompactReport report = catalog.compact();
    CHECK(report.index_rebuilt);
    CHECK(report.bytes_after < report.bytes_before / 3);
    CHECK(report.bytes_after == catalog.info().disk_bytes);
    CHECK(catalog.info().index.free_bytes == 0);
    CHECK(catalog.info().index.size == 500);
    CHECK(fs::file_size(shop / "catalog.db-wal") < 100'000);
    // Who holds the edition goes on with the old index.
    CHECK(held->index().stats().free_bytes > held->index().stats().memory_bytes / 2);
    CHECK(catalog.check().faults.empty());
    check_items(catalog, 500);

    const CompactReport again = catalog.compact();
    CHECK_FALSE(again.index_rebuilt);
    fill(catalog, 500, 520);
    empty_out(catalog, 510, 520);
  }
  Log log;
  Catalog catalog = open_with_log(shop, log);  // which compares the schema, too
  CHECK(log.text().empty());
  CHECK(catalog.check().faults.empty());
  check_items(catalog, 510);
}

TEST_CASE("an id is not given again after compacting") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 10);
  const auto last = catalog.pictures_of("9")[0];
  empty_out(catalog, 5, 10);
  catalog.compact();
  add_embedded(catalog, "new", 77);
  CHECK(catalog.pictures_of("new")[0] > last);
}

TEST_CASE("a catalogue of an older version can be compacted") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  fs::copy(fs::path(VSEARCH_SOURCE_DIR) / "tests/golden/catalog_v1", shop);
  std::vector<std::string> keys;
  {
    Catalog catalog = Catalog::open(shop);  // tables that were altered, not made
    keys = catalog.keys();
    catalog.compact();
  }
  Catalog catalog = Catalog::open(shop);
  CHECK(catalog.keys() == keys);
  CHECK(catalog.check().faults.empty());
}

TEST_CASE("compacting deletes what belongs to nothing") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  {
    Catalog catalog = create_catalog(shop);
    fill(catalog, 0, 20);
  }
  {
    vsearch::db::Database database(shop / "catalog.db", vsearch::db::Database::Mode::kOpen);
    database.execute(
        "PRAGMA foreign_keys = OFF;"
        "INSERT INTO pictures (id, item_id, position, path) VALUES (900, 900, 0, 'x');"
        "INSERT INTO embeddings_1 SELECT 900, vector FROM embeddings_1 WHERE picture_id = 3;"
        "INSERT INTO embeddings_1 SELECT 901, vector FROM embeddings_1 WHERE picture_id = 3;"
        "INSERT INTO picture_files VALUES (902, x'00');"
        "INSERT INTO field_values VALUES (5, 1, 1);"
        "INSERT INTO removals VALUES (2, 1)");
  }
  fs::remove(shop / "index.snapshot");
  {
    Catalog catalog = Catalog::open(shop);
    CHECK(catalog.check().orphans == 5);
    CHECK(catalog.compact().index_rebuilt);
    CHECK(catalog.check().faults.empty());
  }
  Catalog catalog = Catalog::open(shop);
  CHECK(catalog.check().faults.empty());
  check_items(catalog, 20);
}

TEST_CASE("searches and writers go on beside compacting") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 2000);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> searches = 0;
  std::atomic<std::uint64_t> failed = 0;
  std::thread searcher([&] {
    while (!stop) {
      const auto vector = random_vector(searches % 300);
      const auto hits = vsearch::Searcher(catalog).search(vsearch::Query::vector(vector));
      if (hits.empty() || hits[0].key != std::to_string(searches % 300)) ++failed;
      ++searches;
    }
  });
  std::uint64_t written = 2000;
  std::thread writer([&] {
    while (!stop) {
      add_embedded(catalog, std::to_string(written), written);
      ++written;
    }
  });
  empty_out(catalog, 300, 2000);
  int rebuilt = 0;
  for (int i = 0; i < 5; ++i) rebuilt += catalog.compact().index_rebuilt ? 1 : 0;
  stop = true;
  searcher.join();
  writer.join();
  CHECK(rebuilt >= 1);
  CHECK(failed == 0);
  CHECK(searches > 0);
  CHECK(catalog.info().items == 300 + (written - 2000));
  CHECK(catalog.check().faults.empty());
}

TEST_CASE("compacting can be cancelled at any point, and loses nothing") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 100);
  add_embedded(catalog, "x", 1000);
  std::uint64_t calls = 0;
  const auto make_holes = [&] {
    fill(catalog, 100, 300);
    empty_out(catalog, 100, 300);
  };
  make_holes();
  CHECK(catalog
            .compact([&](std::uint64_t, std::uint64_t) {
              ++calls;
              return catalog.get("7").has_value();
            })
            .index_rebuilt);
  REQUIRE(calls > 2);
  for (std::uint64_t stop = 0; stop < calls; ++stop) {
    make_holes();
    std::uint64_t left = stop;
    CHECK_ERROR(catalog.compact([&](std::uint64_t, std::uint64_t) { return left-- > 0; }),
                ErrorCode::kCancelled, "nothing is lost");
    CHECK(catalog.check().faults.empty());
    CHECK(catalog.info().items == 101);
  }
}

namespace {

// Compacts when no file may grow, and again when files may. Returns 0, or the number of what was
// not as it should be.
int compact_without_room(const fs::path& shop) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlim_t before = limit.rlim_cur;
  Catalog catalog = Catalog::open(shop);
  empty_out(catalog, 500, 1000);
  limit.rlim_cur = 100'000;
  setrlimit(RLIMIT_FSIZE, &limit);
  const auto error = error_of([&] { catalog.compact(); });
  if (!error || error->code() != ErrorCode::kIo) return 10;
  if (std::string(error->what()).find("catalog.db") == std::string::npos) return 11;
  if (!catalog.get("7")) return 12;
  limit.rlim_cur = before;
  setrlimit(RLIMIT_FSIZE, &limit);
  if (!catalog.check().faults.empty()) return 13;
  if (!catalog.compact().index_rebuilt) return 14;
  if (!catalog.check().faults.empty()) return 15;
  return 0;
}

}  // namespace

TEST_CASE("compacting without room fails and leaves everything as it was") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  {
    Catalog catalog = create_catalog(shop);
    fill(catalog, 0, 1000);
  }
  const pid_t child = fork();  // because the limit is the whole process's
  if (child == 0) _exit(compact_without_room(shop));
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  check_items(Catalog::open(shop), 500);
}

TEST_CASE("a process that is killed while it compacts loses nothing") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  {
    Catalog catalog = create_catalog(shop);
    fill(catalog, 0, 400);
  }
  std::mt19937 random(3);
  int compacted = 0;
  for (int round = 0; round < (vsearch_test::kSanitized ? 3 : 15); ++round) {
    INFO("round " << round);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
      try {
        Catalog catalog = Catalog::open(shop);
        while (true) {
          fill(catalog, 400, 800);
          empty_out(catalog, 400, 800);
          if (write(ends[1], "c", 1) != 1) _exit(3);
          catalog.compact();
        }
      } catch (...) {
        _exit(2);
      }
    }
    close(ends[1]);
    char letter = 0;
    for (int i = 0; i <= round % 3; ++i) REQUIRE(read(ends[0], &letter, 1) == 1);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 150'000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    while (read(ends[0], &letter, 1) == 1) ++compacted;
    close(ends[0]);

    Catalog catalog = Catalog::open(shop);
    CHECK(catalog.check().faults.empty());
    const auto keys = catalog.keys();
    CHECK(keys.size() >= 400);
    CHECK(keys.size() <= 800);
    CHECK(keys.size() % 50 == 0);  // so many are removed at a time
    std::vector<std::string> added;
    for (const std::string& key : keys) {
      if (std::stoull(key) >= 400) added.push_back(key);
    }
    catalog.remove(added);
    check_items(catalog, 400);
  }
}

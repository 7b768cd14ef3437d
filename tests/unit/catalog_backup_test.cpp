// Catalog::backup: a copy of a catalogue that is in use.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::ErrorCode;

namespace {

namespace fs = std::filesystem;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

}  // namespace

TEST_CASE("a backup is the catalogue as it was, and a catalogue of its own") {
  TempDir dir;
  write_file(dir / "red.bmp", plain_bmp({255, 0, 0}));
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 300);
  vsearch::Item shirt = file_item("shirt", dir / "red.bmp", R"({"price":3})");
  shirt.pictures[0].keep_bytes = true;
  shirt.pictures[0].role = "front";
  catalog.add({&shirt, 1});
  const std::vector<std::string> gone{"shirt"};
  std::uint64_t last = 0;
  std::uint64_t total = 1;

  SECTION("with a snapshot, though some has changed since") {
    catalog.save_snapshot();
    fill(catalog, 300, 310);
    catalog.backup(dir / "copies/monday", [&](std::uint64_t done, std::uint64_t of) {
      last = done;
      total = of;
      return catalog.get("7").has_value();
    });
    CHECK(last == total);
    CHECK(names_in(dir / "copies") == std::set<std::string>{"monday"});
    CHECK(names_in(dir / "copies/monday") == std::set<std::string>{"catalog.db", "index.snapshot"});
  }
  SECTION("without one") {
    fill(catalog, 300, 310);
    catalog.backup(dir / "copies/monday");
    CHECK(names_in(dir / "copies/monday") == std::set<std::string>{"catalog.db"});
  }
  const auto before = catalog.info();
  catalog.remove(gone);
  add_embedded(catalog, "later", 400);

  Log log;
  Catalog copy = open_with_log(dir / "copies/monday", log);
  if (total > 1) {
    CHECK(log.text() ==
          "info: bringing the index snapshot in step: 10 pictures to add, 0 to remove\n");
  }
  CHECK(copy.check().faults.empty());
  CHECK(copy.info().items == 311);
  CHECK(copy.info().generation == before.generation);
  CHECK_FALSE(copy.get("later"));
  const auto kept = copy.get("shirt");
  REQUIRE(kept);
  CHECK(kept->metadata == R"({"price":3})");
  CHECK(kept->pictures[0].role == "front");
  CHECK(kept->pictures[0].kept_bytes == plain_bmp({255, 0, 0}).size());
  // They go their own ways.
  copy.remove(gone);
  check_items(copy, 310);
  add_embedded(copy, "310", 310);
  check_items(copy, 311);
  CHECK_FALSE(catalog.get("310"));
}

TEST_CASE("a backup of a catalogue that is written to holds whole batches") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  // Large enough for several pieces: 1 MiB each.
  constexpr std::uint64_t kBefore = 8000;
  constexpr std::uint64_t kBatch = 50;
  for (std::uint64_t i = 0; i < kBefore; i += 1000) fill(catalog, i, i + 1000);
  catalog.save_snapshot();
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> batches = 0;
  std::thread writer([&] {
    for (std::uint64_t first = kBefore; !stop; first += kBatch) {
      std::vector<std::vector<float>> vectors;
      std::vector<vsearch::Item> items;
      for (std::uint64_t i = 0; i < kBatch; ++i) vectors.push_back(random_vector(first + i));
      for (std::uint64_t i = 0; i < kBatch; ++i) {
        items.push_back(embedded_item(std::to_string(first + i), vectors[i]));
      }
      catalog.add(items);
      // An old one goes for each batch: pages that were copied change, too.
      const std::vector<std::string> old{std::to_string(batches.load())};
      catalog.remove(old);
      if (batches % 8 == 7) catalog.save_snapshot();
      ++batches;
    }
  });
  std::uint64_t beside = 0;
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t earlier = batches;
    const fs::path path = dir / ("copy" + std::to_string(round));
    // The first pieces wait for the writer.
    catalog.backup(path, [&](std::uint64_t, std::uint64_t) {
      while (batches < earlier + 2) std::this_thread::yield();
      return true;
    });
    const std::uint64_t later = batches;
    beside += later - earlier;
    Log log;
    Catalog copy = open_with_log(path, log);
    INFO(log.text());
    CHECK(log.text().find("cannot be used") == std::string::npos);
    CHECK(copy.check().faults.empty());
    std::uint64_t added = 0;
    std::uint64_t old = 0;
    for (const std::string& key : copy.keys()) ++(std::stoull(key) >= kBefore ? added : old);
    CHECK(added % kBatch == 0);
    CHECK(added / kBatch >= earlier);
    CHECK(added / kBatch <= later + 1);
    const std::uint64_t removed = kBefore - old;
    CHECK((removed == added / kBatch || removed + 1 == added / kBatch));
  }
  stop = true;
  writer.join();
  CHECK(beside >= 6);
  CHECK(catalog.check().faults.empty());
}

TEST_CASE("a backup needs a new folder, and can be cancelled") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 2000);
  catalog.save_snapshot();
  CHECK_ERROR(catalog.backup(dir / "shop"), ErrorCode::kAlreadyExists, "shop exists already");
  write_file(dir / "file", {});
  CHECK_ERROR(catalog.backup(dir / "file"), ErrorCode::kAlreadyExists, "file exists already");
  CHECK_ERROR(catalog.backup(dir / "file/below"), ErrorCode::kIo, "cannot make the backup");

  std::uint64_t calls = 0;
  catalog.backup(dir / "whole", [&](std::uint64_t, std::uint64_t) { return ++calls > 0; });
  const auto names = names_in(dir.path());
  for (std::uint64_t stop = 0; stop < calls; ++stop) {
    std::uint64_t left = stop;
    CHECK_ERROR(
        catalog.backup(dir / "cut/short", [&](std::uint64_t, std::uint64_t) { return left-- > 0; }),
        ErrorCode::kCancelled, "cancelled");
    CHECK(names_in(dir.path()) == names);
  }
  fs::create_directory(dir / "empty");
  catalog.backup(dir / "empty");
  check_items(Catalog::open(dir / "empty"), 2000);
}

TEST_CASE("a backup for which there is no room fails, and the catalogue goes on") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  {
    Catalog catalog = create_catalog(shop);
    fill(catalog, 0, 1000);
  }
  const pid_t child = fork();  // because the limit is the whole process's
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    Catalog catalog = Catalog::open(shop);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 200'000;
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto error = error_of([&] { catalog.backup(dir / "copy"); });
    if (!error || error->code() != ErrorCode::kIo) _exit(10);
    if (fs::exists(dir / "copy") || names_in(dir.path()).size() != 1) _exit(11);
    if (!catalog.get("7") || !catalog.check().faults.empty()) _exit(12);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    add_embedded(catalog, "1000", 1000);
    catalog.backup(dir / "copy");
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  check_items(Catalog::open(dir / "copy"), 1001);
}

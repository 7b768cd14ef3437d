// What a catalogue makes of what a crash has left and of writes that fail. For processes that are
// killed see tests/faults/catalog_kill.cpp.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::ErrorCode;
using vsearch::Item;
using vsearch::Query;
using vsearch::Searcher;

namespace fs = std::filesystem;

TEST_CASE("what a crash while saving has left is cleared away") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  { create_catalog(shop); }
  // The names that this very process will take, as one with the same number may have before.
  for (int i = 0; i < 100; ++i) {
    write_file(shop / fmt::format("index.snapshot.tmp-{}-{}", getpid(), i), {});
  }
  Log log;
  {
    Catalog catalog = open_with_log(shop, log);
    fill(catalog, 0, 5);
    catalog.save_snapshot();
  }
  CHECK(log.text().empty());
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(shop)) names.insert(entry.path().filename());
  CHECK(names == std::set<std::string>{"catalog.db", "catalog.lock", "index.snapshot"});
}

namespace {

// Fails to add and to remove when no file may grow, and succeeds when files may again. Returns 0,
// or the number of what was not as it should be.
int write_without_room(const fs::path& shop) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlim_t before = limit.rlim_cur;
  Catalog catalog = Catalog::open(shop);
  add_embedded(catalog, "0", 0);
  const auto generation = catalog.info().generation;
  limit.rlim_cur = fs::file_size(shop / "catalog.db-wal");
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::vector<float> vector = random_vector(1);
  const Item item = embedded_item("1", vector);
  const auto add_error = error_of([&] { catalog.add({&item, 1}); });
  const std::vector<std::string> keys{"0"};
  const auto remove_error = error_of([&] { catalog.remove(keys); });
  if (!add_error || add_error->code() != ErrorCode::kIo) return 10;
  if (!remove_error || remove_error->code() != ErrorCode::kIo) return 11;
  if (std::string(add_error->what()).find("catalog.db") == std::string::npos) return 12;
  if (catalog.info().generation != generation || catalog.get("1")) return 13;
  if (catalog.serving()->index().size() != 1) return 14;
  if (Searcher(catalog).search(Query::vector(vector)).front().key != "0") return 15;
  limit.rlim_cur = before;
  setrlimit(RLIMIT_FSIZE, &limit);
  for (std::uint64_t i = 1; i < 20; ++i) add_embedded(catalog, std::to_string(i), i);
  return 0;
}

}  // namespace

TEST_CASE("a write that fails leaves everything as it was, and can be tried again") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  { create_catalog(shop); }
  const pid_t child = fork();  // because the limit is the whole process's
  if (child == 0) {
    try {
      _exit(write_without_room(shop));
    } catch (const std::exception& e) {
      static_cast<void>(write(STDERR_FILENO, e.what(), std::string_view(e.what()).size()));
      _exit(1);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  check_items(Catalog::open(shop), 20);
}

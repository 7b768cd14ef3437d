// What a catalogue makes of its process being killed and of writes that fail.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
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

namespace {

constexpr std::uint64_t kNumbers = 300;

// Adds, replaces, removes and saves for ever. Writes to `pipe` what it is about to do, "+3 " or "-3
// " an item, and a new line when the call has returned.
[[noreturn]] void write_for_ever(const fs::path& shop, int pipe, unsigned seed) {
  const auto say = [&](const std::string& text) {
    if (write(pipe, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(3);
  };
  try {
    Catalog catalog = Catalog::open(shop);
    std::mt19937 random(seed);
    while (true) {
      const auto dice = random() % 10;
      if (dice == 0) {
        catalog.save_snapshot();
        continue;
      }
      std::vector<std::uint64_t> numbers;
      std::string intent;
      for (std::size_t n = 1 + random() % 20; n > 0; --n) {
        numbers.push_back(random() % kNumbers);
        intent += fmt::format("{}{} ", dice <= 6 ? '+' : '-', numbers.back());
      }
      say(intent);
      if (dice <= 6) {
        std::vector<std::vector<float>> vectors;
        std::vector<Item> items;
        for (const auto number : numbers) vectors.push_back(random_vector(number));
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          items.push_back(embedded_item(std::to_string(numbers[i]), vectors[i]));
        }
        catalog.add(items);
      } else {
        std::vector<std::string> keys;
        for (const auto number : numbers) keys.push_back(std::to_string(number));
        catalog.remove(keys);
      }
      say("\n");
    }
  } catch (const std::exception& e) {
    say(e.what());
    _exit(2);
  }
}

// What `write_for_ever` wrote until it was killed, `delay` after it had written `calls` lines.
std::string killed_after(std::ptrdiff_t calls, std::chrono::microseconds delay,
                         const fs::path& shop, unsigned seed) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    write_for_ever(shop, ends[1], seed);
  }
  close(ends[1]);
  std::string log;
  char buffer[4096];
  bool alive = true;
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    log.append(buffer, static_cast<std::size_t>(n));
    if (alive && std::ranges::count(log, '\n') >= calls) {
      std::this_thread::sleep_for(delay);
      kill(child, SIGKILL);
      alive = false;
    }
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  INFO(log);
  REQUIRE(WIFSIGNALED(status));  // it did not end by itself
  return log;
}

}  // namespace

TEST_CASE("a killed writer loses nothing that was acknowledged") {
  TempDir dir;
  const fs::path shop = dir / "shop";
  { create_catalog(shop); }
  std::set<std::uint64_t> there;  // what must be in the catalogue
  std::mt19937 random(5);
  std::size_t acknowledged = 0;
  for (unsigned round = 0; round < 20; ++round) {
    INFO("round " << round);
    std::istringstream log(killed_after(static_cast<std::ptrdiff_t>(1 + random() % 20),
                                        std::chrono::microseconds(random() % 20'000), shop, round));
    std::set<std::uint64_t> under_way;  // named by a call that did not return
    bool removing = false;
    for (std::string line; std::getline(log, line);) {
      const bool returned = !log.eof();
      std::istringstream words(line);
      for (std::string word; words >> word;) {
        const std::uint64_t number = std::stoull(word.substr(1));
        removing = word[0] == '-';
        if (!returned) {
          under_way.insert(number);
        } else if (removing) {
          there.erase(number);
        } else {
          there.insert(number);
        }
      }
      if (returned) ++acknowledged;
    }

    Catalog catalog = Catalog::open(shop);
    CHECK(catalog.serving()->index().size() == catalog.info().pictures);
    Searcher searcher(catalog);
    std::set<std::uint64_t> present;
    for (const std::string& key : catalog.keys()) {
      const std::uint64_t number = std::stoull(key);
      present.insert(number);
      const auto vector = random_vector(number);
      const auto hits = searcher.search(Query::vector(vector));
      REQUIRE(!hits.empty());
      CHECK(hits.front().key == key);
    }
    // The call that did not return has happened as a whole or not at all.
    std::set<std::uint64_t> if_it_happened = there;
    for (const std::uint64_t number : under_way) {
      if (removing) {
        if_it_happened.erase(number);
      } else {
        if_it_happened.insert(number);
      }
    }
    CHECK((present == there || present == if_it_happened));
    there = present;
  }
  CHECK(acknowledged >= 20);
}

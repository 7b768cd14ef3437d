// A catalogue used by many threads at once. Meant to be run under ThreadSanitizer too.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"
#include "vsearch/searcher.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::CatalogOptions;
using vsearch::Item;
using vsearch::Query;
using vsearch::QueryOptions;
using vsearch::Searcher;

namespace {

constexpr std::uint64_t kStable = 100;  // items that nobody removes, some of them replaced
constexpr std::chrono::milliseconds kTime{1500};

std::string stable_key(std::uint64_t i) {
  return "stable " + std::to_string(i);
}

// Collects what went wrong on other threads: Catch's assertions are for one thread.
class Complaints {
 public:
  void add(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (texts_.size() < 10) texts_.push_back(text);
  }
  void check() const {
    for (const std::string& text : texts_) FAIL_CHECK(text);
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> texts_;
};

}  // namespace

TEST_CASE("searches, adds, removes and snapshots go on beside each other") {
  TempDir dir;
  { create_catalog(dir / "shop"); }
  CatalogOptions options;
  std::atomic<int> loads{0};
  options.encoder_loader = [&](const std::string&) {
    ++loads;
    return std::make_shared<FakeEncoder>();
  };
  Catalog catalog = Catalog::open(dir / "shop", options);
  for (std::uint64_t i = 0; i < kStable; ++i) {
    add_embedded(catalog, stable_key(i), i, R"({"kind":"stable"})");
  }
  write_file(dir / "picture.bmp", plain_bmp({200, 100, 0}));

  Complaints complaints;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> searches{0};
  std::mutex removed_mutex;
  std::set<std::string> removed;

  std::vector<std::thread> threads;
  const auto start = [&](auto work) {
    threads.emplace_back([&, work] {
      try {
        for (std::uint64_t round = 0; !stop; ++round) work(round);
      } catch (const std::exception& e) {
        complaints.add(e.what());
      }
    });
  };
  for (int searcher_thread = 0; searcher_thread < 3; ++searcher_thread) {
    start([&, searcher_thread](std::uint64_t round) {
      const Searcher searcher(catalog);
      const std::uint64_t i = (round * 7 + static_cast<std::uint64_t>(searcher_thread)) % kStable;
      const auto query = random_vector(i);
      QueryOptions top;
      top.k = 3;
      top.exact = true;
      std::set<std::string> gone;
      {
        const std::lock_guard lock(removed_mutex);
        gone = removed;
      }
      const auto hits = searcher.search(Query::vector(query), top);
      ++searches;
      // An item that is there is found, be it replaced at this moment or not.
      if (hits.size() != 3 || hits[0].key != stable_key(i)) {
        complaints.add(stable_key(i) + " was not found");
      }
      for (const auto& hit : hits) {
        if (gone.contains(hit.key)) complaints.add(hit.key + " was found though it was removed");
      }
      if (round % 5 == 0) {
        top.where = vsearch::Filter::parse("kind = 'stable'");
        for (const auto& hit : searcher.search(Query::like(stable_key(i)), top)) {
          if (!hit.key.starts_with("stable")) complaints.add(hit.key + " is not stable");
        }
      }
    });
  }
  for (const std::string name : {"a", "b"}) {
    start([&, name](std::uint64_t round) {
      const std::string key = name + std::to_string(round);
      Item item{key, {}, R"({"kind":"passing"})"};
      item.pictures.push_back({(dir / "picture.bmp").string(), {}, {}});
      if (!catalog.add({&item, 1}).failures.empty()) complaints.add("not added: " + key);
      if (!catalog.get(key)) complaints.add("added and not there: " + key);
      if (round % 2 == 0) {
        const std::vector<std::string> keys{key};
        if (!catalog.remove(keys).empty()) complaints.add("not removed: " + key);
        const std::lock_guard lock(removed_mutex);
        removed.insert(key);
      }
    });
  }
  start([&](std::uint64_t round) {  // replaces with the same content
    const std::uint64_t i = round % kStable;
    add_embedded(catalog, stable_key(i), i, R"({"kind":"stable"})");
  });
  start([&](std::uint64_t) {
    catalog.save_snapshot();
    const auto info = catalog.info();
    if (info.items < kStable) complaints.add("items went away");
    catalog.keys();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  std::this_thread::sleep_for(kTime);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  complaints.check();
  CHECK(searches > 50);
  CHECK(loads == 1);
  CHECK(catalog.serving()->index().size() == catalog.info().pictures);
  for (const std::string& key : removed) CHECK_FALSE(catalog.get(key));
}

TEST_CASE("an item that is being replaced does not go missing") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  constexpr std::size_t kItems = 5;
  for (std::uint64_t i = 0; i < kItems; ++i) add_embedded(catalog, std::to_string(i), i);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (std::uint64_t round = 0; !stop; ++round) {
      add_embedded(catalog, std::to_string(round % kItems), round % kItems);
    }
  });
  const Searcher searcher(catalog);
  const auto end = std::chrono::steady_clock::now() + kTime;
  std::size_t missing = 0;
  std::size_t searches = 0;
  for (; std::chrono::steady_clock::now() < end; ++searches) {
    const auto query = random_vector(searches % kItems);
    if (searcher.search(Query::vector(query)).size() != kItems) ++missing;
    if (searcher.search(Query::like("0")).size() != kItems - 1) ++missing;
  }
  stop = true;
  writer.join();
  INFO(searches << " searches");
  CHECK(missing == 0);
}

namespace {

// Encodes only when told to go on, or after a minute.
class SlowEncoder : public FakeEncoder {
 public:
  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    encoding.set_value();
    in_time = go_on.get_future().wait_for(std::chrono::minutes(1)) == std::future_status::ready;
    return FakeEncoder::encode(images, progress);
  }
  mutable std::promise<void> encoding;
  mutable std::promise<void> go_on;
  mutable bool in_time = false;
};

}  // namespace

TEST_CASE("neither searches nor other writers wait for encoding") {
  TempDir dir;
  const auto encoder = std::make_shared<SlowEncoder>();
  vsearch::CatalogCreateOptions options;
  options.encoder = encoder;
  Catalog catalog = Catalog::create(dir / "shop", options);
  add_embedded(catalog, "a", 1);
  const std::vector<std::byte> picture = plain_bmp({1, 2, 3});
  Item item{"slow", {}, "{}"};
  item.pictures.push_back({"", picture, {}});
  std::thread adder([&] { catalog.add({&item, 1}); });
  encoder->encoding.get_future().wait();
  const auto query = random_vector(1);
  CHECK(Searcher(catalog).search(Query::vector(query)).front().key == "a");
  add_embedded(catalog, "b", 2);
  const std::vector<std::string> keys{"b"};
  CHECK(catalog.remove(keys).empty());
  encoder->go_on.set_value();
  adder.join();
  CHECK(encoder->in_time);
  CHECK(catalog.get("slow"));
}

// A catalogue changes its model: another edition of its embeddings takes the place of the first.
#include <fmt/format.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/other_encoder.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::EditionState;
using vsearch::ErrorCode;
using vsearch::Item;
using vsearch::LabelledQuery;
using vsearch::Query;
using vsearch::ReencodeOptions;
using vsearch::Searcher;

namespace fs = std::filesystem;

namespace {

constexpr int kItems = 150;

// A picture that no other number has.
std::vector<std::byte> picture(int number) {
  return bmp(8, 8, [&](std::uint32_t x, std::uint32_t y) {
    const auto shade = [&](int step) {
      return static_cast<std::uint8_t>((number * step + static_cast<int>(x + 3 * y) * 7) % 256);
    };
    return Rgb{shade(37), shade(101), shade(11)};
  });
}

struct Shop {
  TempDir dir;
  fs::path path = dir / "shop";
  std::shared_ptr<CountingEncoder> encoder = std::make_shared<CountingEncoder>();
  std::shared_ptr<OtherEncoder> other = std::make_shared<OtherEncoder>();

  fs::path file(int number) const { return dir / fmt::format("{}.bmp", number); }

  // Items "0" to "149", each with a file.
  Catalog filled() const {
    Catalog catalog = Catalog::create(path, create_options(encoder));
    add(catalog, 0, kItems);
    return catalog;
  }
  void add(Catalog& catalog, int first, int last) const {
    std::vector<Item> items;
    for (int i = first; i < last; ++i) {
      write_file(file(i), picture(i));
      items.push_back(file_item(std::to_string(i), file(i)));
    }
    REQUIRE(catalog.add(items).failures.empty());
  }
  // With an encoder_loader that knows both.
  Catalog reopened(Log& log) const {
    vsearch::CatalogOptions options;
    options.log = log.callback();
    options.encoder_loader = [this](const std::string& name) -> std::shared_ptr<vsearch::Encoder> {
      if (name == "other") return other;
      return encoder;
    };
    return Catalog::open(path, options);
  }
};

ReencodeOptions options_of(const char* ref = "other") {
  ReencodeOptions options;
  options.encoder_ref = ref;
  return options;
}

// Each item in [first, last) is found by its own picture.
void check_found(const Catalog& catalog, int first, int last) {
  for (int i = first; i < last; ++i) {
    const auto file = picture(i);
    const auto hits = Searcher(catalog).search(Query::encoded(file), {.k = 1});
    REQUIRE(hits.size() == 1);
    CHECK(hits[0].key == std::to_string(i));
    CHECK(hits[0].distance < 1e-3F);
  }
}

}  // namespace

TEST_CASE("another encoder takes the place of the first, and the first can return") {
  Shop shop;
  Log log;
  {
    Catalog catalog = shop.filled();
    const auto before = catalog.serving();
    std::vector<std::uint64_t> told;
    const auto report =
        catalog.reencode(shop.other, options_of(), [&](std::uint64_t done, std::uint64_t total) {
          told.push_back(done);
          CHECK(total == kItems);
          return true;
        });
    CHECK(report.switched);
    CHECK(report.refusal.empty());
    CHECK(report.encoded == kItems);
    CHECK(report.missing.empty());
    CHECK(report.edition.id == 2);
    CHECK(report.edition.embeddings == kItems);
    CHECK(report.comparison.sampled == kItems);
    CHECK(report.comparison.overlap > 0.2);
    CHECK(report.comparison.overlap < 1.0);
    CHECK(std::ranges::is_sorted(told));
    CHECK(told.back() == kItems);
    CHECK(shop.other->encoded == kItems);

    CHECK(catalog.info().encoder == "other");
    CHECK(catalog.info().encoder_fingerprint == std::string(64, 'e'));
    CHECK(catalog.info().dim == OtherEncoder::kOtherDim);
    check_found(catalog, 0, kItems);
    // Who holds the old edition goes on with it.
    const auto vector = before->index().vector(catalog.pictures_of("7")[0]);
    const auto near = catalog.near_pictures(*before, vector, {.k = 1});
    CHECK(near.entries.at(0).picture.key == "7");

    const auto editions = catalog.editions();
    REQUIRE(editions.size() == 2);
    CHECK(editions[0].state == EditionState::kKept);
    CHECK(editions[1].state == EditionState::kServing);
    CHECK(editions[1].embeddings == kItems);
    shop.add(catalog, kItems, kItems + 5);
  }
  shop.encoder->encoded = 0;
  Catalog catalog = shop.reopened(log);
  CHECK(log.text().empty());
  check_found(catalog, 0, kItems + 5);
  const std::vector<std::string> keys{"3"};
  catalog.remove(keys);

  const auto back = catalog.rollback();
  CHECK(back.switched);
  CHECK(back.encoded == 5);  // what was added since
  CHECK(back.reused == kItems - 1);
  CHECK(catalog.info().encoder == "fake-grid");
  CHECK(catalog.info().index.size == kItems + 4);
  check_found(catalog, 4, kItems + 5);
  CHECK(catalog.rollback().switched);  // and forth
  CHECK(catalog.info().encoder == "other");
  check_found(catalog, 4, kItems + 5);
}

TEST_CASE("adds, replacements and removes while another edition is made go to both") {
  Shop shop;
  Log log;
  {
    Catalog catalog = shop.filled();
    int turn = 0;
    shop.other->before = [&] {
      // From another thread, as customers and the shop would.
      if (++turn > 2) return;
      std::thread([&] {
        const int first = kItems + 20 * (turn - 1);
        std::vector<Item> items;
        std::vector<std::vector<std::byte>> files;
        for (int i = first; i < first + 20; ++i) files.push_back(picture(i));
        for (int i = first; i < first + 20; ++i) {
          Item item;
          item.key = std::to_string(i);
          item.pictures.push_back({.path = "bytes only", .bytes = files[i - first]});
          items.push_back(item);
        }
        shop.other->before = nullptr;
        CHECK(catalog.add(items).failures.empty());
        const std::vector<std::string> gone{std::to_string(turn), std::to_string(kItems - turn)};
        CHECK(catalog.remove(gone).empty());
        CHECK_FALSE(Searcher(catalog).search(Query::like("10")).empty());
      }).join();
    };
    const auto report = catalog.reencode(shop.other, options_of());
    CHECK(report.missing.empty());
    REQUIRE(report.switched);
    CHECK(catalog.info().items == kItems + 20 - 2);
    CHECK(catalog.info().index.size == kItems + 20 - 2);
    check_found(catalog, 2, kItems - 1);
    check_found(catalog, kItems, kItems + 20);  // though nothing keeps their bytes
  }
  Catalog catalog = shop.reopened(log);
  CHECK(log.text().empty());
  CHECK(catalog.info().index.size == kItems + 20 - 2);
  check_found(catalog, 2, kItems - 1);
  CHECK_FALSE(catalog.serving()->index().contains(1 + 1));  // item "1"
}

TEST_CASE("what was interrupted is gone on with") {
  Shop shop;
  Log log;
  {
    Catalog catalog = shop.filled();
    CHECK_ERROR(catalog.reencode(shop.other, options_of(),
                                 [](std::uint64_t done, std::uint64_t) { return done < 64; }),
                ErrorCode::kCancelled, "64 of 150 pictures are done and stay");
    CHECK(catalog.info().encoder == "fake-grid");
    check_found(catalog, 0, kItems);
    REQUIRE(catalog.editions().size() == 2);
    CHECK(catalog.editions()[1].state == EditionState::kBuilding);
    CHECK(catalog.editions()[1].embeddings == 64);
    const std::vector<std::string> keys{"5", "100"};
    catalog.remove(keys);
  }
  Catalog catalog = shop.reopened(log);
  shop.other->encoded = 0;
  const auto report = catalog.reencode(shop.other, options_of());
  CHECK(report.switched);
  CHECK(report.reused == 63);
  CHECK(report.encoded == kItems - 64 - 1);
  CHECK(shop.other->encoded == kItems - 64 - 1);
  CHECK(catalog.info().index.size == kItems - 2);
  check_found(catalog, 6, 100);
}

TEST_CASE("pictures that cannot be encoded are a reason not to switch") {
  Shop shop;
  Catalog catalog = shop.filled();
  std::vector<std::byte> kept = picture(1000);
  std::vector<std::byte> lost = picture(1001);
  const auto vector = random_vector(1);
  const std::vector<Item> more{
      {"kept", {{.bytes = kept, .keep_bytes = true}}},
      {"bytes", {{.path = "a name", .bytes = lost}}},
      {"vector", {{.embedding = vector}}},
  };
  REQUIRE(catalog.add(more).failures.empty());
  CHECK(catalog.get("kept")->pictures[0].kept_bytes == kept.size());
  fs::remove(shop.file(3));
  write_file(shop.file(4), picture(2000));

  auto report = catalog.reencode(shop.other, options_of());
  CHECK_FALSE(report.switched);
  CHECK_THAT(report.refusal, Catch::Contains("4 of 153 pictures could not be encoded"));
  std::vector<std::pair<std::string, std::string>> missing;
  for (const auto& one : report.missing) missing.emplace_back(one.key, one.message);
  REQUIRE(missing.size() == 4);
  CHECK(missing[0].first == "3");
  CHECK_THAT(missing[0].second, Catch::Contains("3.bmp"));
  CHECK(missing[1].first == "4");
  CHECK_THAT(missing[1].second, Catch::Contains("has changed since it was added"));
  CHECK(missing[2].first == "bytes");
  CHECK(missing[3].first == "vector");
  CHECK_THAT(missing[3].second, Catch::Contains("without a picture"));
  CHECK(catalog.info().encoder == "fake-grid");
  check_found(catalog, 5, 20);

  // Asked again with patience for them.
  shop.other->encoded = 0;
  ReencodeOptions options = options_of();
  options.max_missing_share = 0.05;
  report = catalog.reencode(shop.other, options);
  CHECK(report.switched);
  CHECK(report.reused == kItems - 2 + 1);
  CHECK(shop.other->encoded == 0);
  CHECK(catalog.info().items == kItems + 3);  // nothing is lost
  CHECK(catalog.info().index.size == kItems - 2 + 1);
  CHECK(Searcher(catalog).search(Query::encoded(kept), {.k = 1}).at(0).key == "kept");
  CHECK_ERROR(Searcher(catalog).search(Query::like("vector")), ErrorCode::kKeyNotFound,
              "the item 'vector' has an embedding");
  // Adding such an item again brings it back.
  const std::vector<Item> again{{"bytes", {{.path = "a name", .bytes = lost}}},
                                file_item("4", shop.file(4))};
  CHECK(catalog.add(again).failures.empty());
  CHECK(Searcher(catalog).search(Query::encoded(lost), {.k = 1}).at(0).key == "bytes");
}

TEST_CASE("the gate decides") {
  Shop shop;
  Catalog catalog = shop.filled();
  ReencodeOptions options = options_of();
  SECTION("too few common neighbours") {
    options.min_overlap = 0.999;
    const auto report = catalog.reencode(shop.other, options);
    CHECK_FALSE(report.switched);
    CHECK_THAT(report.refusal, Catch::Contains("min_overlap"));
  }
  SECTION("the caller says no") {
    options.gate = [](const vsearch::EditionComparison& found) {
      CHECK(found.k == 10);
      return false;
    };
    CHECK(catalog.reencode(shop.other, options).refusal == "the caller's gate refused");
  }
  SECTION("labelled queries find less") {
    // What the old edition finds first is said to be right.
    options.k = 1;
    for (int i = 0; i < kItems; ++i) {
      const auto hits = Searcher(catalog).search(Query::like(std::to_string(i)), {.k = 1});
      options.queries.push_back({std::to_string(i), {}, {hits.at(0).key}});
    }
    options.queries.push_back({{}, shop.file(7).string(), {"7"}});
    options.max_recall_loss = 0.01;
    const auto report = catalog.reencode(shop.other, options);
    CHECK(report.comparison.labelled == kItems + 1);
    CHECK(report.comparison.recall_before == Approx(1.0));
    CHECK(report.comparison.recall_after < 0.9);
    CHECK(report.comparison.recall_after > 0.1);
    CHECK_THAT(report.refusal, Catch::Contains("max_recall_loss"));
  }
  CHECK(catalog.info().encoder == "fake-grid");
  check_found(catalog, 0, 20);
  // The work is not lost.
  shop.other->encoded = 0;
  CHECK(catalog.reencode(shop.other, options_of()).switched);
  CHECK(shop.other->encoded == 0);
  check_found(catalog, 0, 20);
}

TEST_CASE("editions can be dropped, and what makes no sense is refused") {
  Shop shop;
  Log log;
  {
    Catalog catalog = shop.filled();
    CHECK_ERROR(catalog.rollback(), ErrorCode::kKeyNotFound, "keeps no edition");
    CHECK_ERROR(catalog.reencode(nullptr), ErrorCode::kInvalidArgument, "needs an encoder");
    CHECK_ERROR(catalog.reencode(shop.encoder), ErrorCode::kInvalidArgument, "is served by");
    ReencodeOptions options = options_of();
    options.queries = {{"no such item", {}, {"1"}}};
    CHECK_ERROR(catalog.reencode(shop.other, options), ErrorCode::kKeyNotFound, "no such item");
    options.queries = {{"1", {}, {"no such item"}}};
    CHECK_ERROR(catalog.reencode(shop.other, options), ErrorCode::kKeyNotFound, "no relevant item");
    options.queries = {{"1", {}, {}}};
    CHECK_ERROR(catalog.reencode(shop.other, options), ErrorCode::kInvalidArgument,
                "name at least");
    options.queries = {{{}, "/no/such.jpg", {"1"}}};
    CHECK_ERROR(catalog.reencode(shop.other, options), ErrorCode::kFileNotFound, "/no/such.jpg");
    CHECK(shop.other->encoded == 0);  // all this was said before any work
    CHECK(catalog.editions().size() == 1);

    options = options_of();
    options.keep_old = false;
    CHECK(catalog.reencode(shop.other, options).switched);
    CHECK(catalog.editions().size() == 1);
    CHECK_ERROR(catalog.rollback(), ErrorCode::kKeyNotFound, "keeps no edition");
    CHECK_ERROR(catalog.drop_edition(2), ErrorCode::kInvalidArgument, "serves");
    CHECK_ERROR(catalog.drop_edition(1), ErrorCode::kKeyNotFound, "no edition 1");
    const auto third = std::make_shared<OtherEncoder>(std::string(64, 'd'));
    CHECK(catalog.reencode(third, options_of("third")).switched);
    catalog.drop_edition(2);
    CHECK_ERROR(catalog.rollback(), ErrorCode::kKeyNotFound, "keeps no edition");
    CHECK(catalog.info().index.size == kItems);
    check_found(catalog, 0, 20);
  }
  for (const auto& entry : fs::directory_iterator(shop.path)) {
    INFO(entry.path());
    const std::string name = entry.path().filename();
    CHECK((name == "catalog.db" || name == "catalog.lock" || name == "index.snapshot"));
  }
}

TEST_CASE("pictures that are being read while their edition is deleted are added all the same") {
  Shop shop;
  constexpr int kFirst = 64;  // are committed at once
  std::atomic<bool> switched{false};
  vsearch::CatalogCreateOptions options = create_options(shop.encoder);
  options.fetch = [&](const std::string& uri) {
    const int number = std::stoi(uri.substr(std::string("shop://").size()));
    if (number >= kFirst) switched.wait(false);
    return picture(number);
  };
  Catalog catalog = Catalog::create(shop.path, options);
  std::vector<Item> items;
  for (int i = 0; i < kItems; ++i) {
    items.push_back(file_item(std::to_string(i), fmt::format("shop://{}", i)));
  }
  ReencodeOptions without_old = options_of();
  without_old.keep_old = false;
  const auto switch_after_the_first = [&](std::uint64_t done, std::uint64_t) {
    if (done < kFirst || switched) return true;
    std::thread([&] { CHECK(catalog.reencode(shop.other, without_old).switched); }).join();
    switched = true;
    switched.notify_all();
    return true;
  };
  const auto report = catalog.add(items, switch_after_the_first);
  CHECK(switched);
  CHECK(report.failures.empty());
  CHECK(catalog.editions().size() == 1);
  CHECK(catalog.info().index.size == kItems);
  check_found(catalog, 0, kItems);
}

TEST_CASE("what is checked beside switches that delete the old edition is sound") {
  Shop shop;
  Catalog catalog = shop.filled();
  std::future<void> switches = std::async(std::launch::async, [&] {
    ReencodeOptions options = options_of();
    options.keep_old = false;
    for (int turn = 0; turn < 100; ++turn) {
      const bool back = turn % 2 == 1;
      options.encoder_ref = back ? "fake-grid" : "other";
      if (back) {
        catalog.reencode(shop.encoder, options);
      } else {
        catalog.reencode(shop.other, options);
      }
    }
  });
  while (switches.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    const auto report = catalog.check();
    CAPTURE(report.faults);
    CHECK(report.faults.empty());
  }
  switches.get();
  CHECK(catalog.editions().size() == 1);
}

TEST_CASE("embeddings of another encoder than the one that serves are refused") {
  Shop shop;
  Catalog catalog = shop.filled();
  REQUIRE(catalog.reencode(shop.other, options_of()).switched);
  const std::vector<float> vector(OtherEncoder::kOtherDim, 0.5F);
  Item item = embedded_item("new", vector);
  item.pictures[0].embedding_fingerprint = std::string(64, 'f');
  auto report = catalog.add({&item, 1});
  REQUIRE(report.failures.size() == 1);
  CHECK(report.failures[0].code == ErrorCode::kEncoderMismatch);
  item.pictures[0].embedding_fingerprint = std::string(64, 'e');
  report = catalog.add({&item, 1});
  CHECK(report.failures.empty());
}

TEST_CASE("a crash between the switch and the snapshot's new place loses nothing") {
  Shop shop;
  Log log;
  {
    Catalog catalog = shop.filled();
    catalog.save_snapshot();
    fs::copy_file(shop.path / "index.snapshot", shop.dir / "old");
    REQUIRE(catalog.reencode(shop.other, options_of()).switched);
    fs::copy_file(shop.path / "index.snapshot", shop.dir / "new");
  }
  fs::rename(shop.dir / "old", shop.path / "index.snapshot");
  SECTION("the new one is where it was written") {
    // As saved before the switch, so of the stamp that is still the current one.
    Catalog catalog = shop.reopened(log);
    CHECK(catalog.info().index.size == kItems);
  }
  SECTION("there is none") {
    fs::remove(shop.path / "index-2.snapshot");
    Catalog catalog = shop.reopened(log);
    CHECK_THAT(log.text(), Catch::Contains("anew"));
    check_found(catalog, 0, kItems);
  }
  Log quiet;
  Catalog catalog = shop.reopened(quiet);
  CHECK(quiet.text().empty());
  check_found(catalog, 0, kItems);
}

namespace {

// Says that its embeddings are those of CountingEncoder. `is_true`: whether they are.
class WordsEncoder : public FakeEncoder {
 public:
  explicit WordsEncoder(bool is_true) : info_(FakeEncoder::info()), is_true_(is_true) {
    info_.name = "grid-with-words";
    info_.fingerprint = std::string(64, 'd');
    info_.image_of = std::string(64, 'f');
  }
  const vsearch::EncoderInfo& info() const override { return info_; }
  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    encoded += images.size();
    vsearch::Matrix rows = FakeEncoder::encode(images, progress);
    if (!is_true_) {
      for (std::size_t i = 0; i < rows.data.size(); i += 2) rows.data[i] *= -1;
    }
    return rows;
  }
  mutable std::atomic<std::uint64_t> encoded{0};

 private:
  vsearch::EncoderInfo info_;
  bool is_true_;
};

}  // namespace

TEST_CASE("what an encoder gives as the one before did is taken over") {
  Shop shop;
  Catalog catalog = shop.filled();
  const auto by_words = std::make_shared<WordsEncoder>(true);
  const std::vector<float> given(FakeEncoder::kDim, 0.5F);
  const Item without_picture = embedded_item("given", given);
  REQUIRE(catalog.add({&without_picture, 1}).failures.empty());
  fs::remove(shop.file(149));  // nothing that could be encoded again

  const auto report = catalog.reencode(by_words, options_of("words"));
  CHECK(report.switched);
  CHECK(report.encoded == 0);
  CHECK(report.reused == kItems + 1);
  CHECK(report.missing.empty());
  CHECK(report.comparison.overlap == 1.0);
  CHECK(by_words->encoded == 8);  // a few, to see whether it is so
  CHECK(catalog.info().encoder_fingerprint == std::string(64, 'd'));
  check_found(catalog, 0, kItems);
  CHECK(catalog.get("given").has_value());
}

TEST_CASE("what comes at any moment of a switch is found after a crash") {
  // One item, at the first call of the progress, the second, and so on to the last.
  std::uint64_t moment = 0;
  for (;; ++moment) {
    Shop shop;
    Catalog catalog = shop.filled();
    ReencodeOptions options = options_of("words");
    options.max_missing_share = 1;  // it is being added
    std::uint64_t calls = 0;
    const auto add_one = [&](std::uint64_t, std::uint64_t) {
      if (calls++ == moment) add_embedded(catalog, "late", 1000);
      return true;
    };
    const auto report = catalog.reencode(std::make_shared<WordsEncoder>(true), options, add_one);
    if (calls <= moment) break;
    CAPTURE(moment, report.refusal);
    REQUIRE(report.switched);
    fs::copy(shop.path, shop.dir / "crashed");
    const Catalog after = Catalog::open(shop.dir / "crashed");
    CHECK(after.info().items == kItems + 1);
    CHECK(after.info().index.size == kItems + 1);
  }
  CHECK(moment > 2);
}

TEST_CASE("an encoder that only says so encodes all pictures") {
  Shop shop;
  Log log;
  shop.filled();
  Catalog catalog = shop.reopened(log);
  const auto liar = std::make_shared<WordsEncoder>(false);
  const auto report = catalog.reencode(liar, options_of("words"));
  CHECK(report.switched);
  CHECK(report.encoded == kItems);
  CHECK(report.reused == 0);
  CHECK_THAT(log.text(), Catch::Contains("all pictures are encoded anew"));
  check_found(catalog, 0, kItems);
}

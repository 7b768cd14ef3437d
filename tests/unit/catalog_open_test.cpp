// Making, opening, owning and moving catalogues.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"
#include "vsearch/catalog.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::CatalogOptions;
using vsearch::ErrorCode;
using vsearch::Item;

namespace {

namespace fs = std::filesystem;

// Runs `work` in a forked child, which exits with what it returns.
int in_child(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a catalogue is made whole or not at all") {
  TempDir dir;
  const auto options = create_options(std::make_shared<FakeEncoder>());
  SECTION("in a new folder, with its parents, or in an empty one") {
    Catalog::create(dir / "a/b/shop", options);
    CHECK(Catalog::open(dir / "a/b/shop/").keys().empty());
    fs::create_directory(dir / "empty");
    Catalog::create(dir / "empty", options);
    CHECK(Catalog::open(dir / "empty").keys().empty());
  }
  SECTION("and what it is told of fetching pictures holds at once") {
    auto fetching = options;
    fetching.fetch = [](const std::string&) { return plain_bmp({255, 0, 0}); };
    Catalog catalog = Catalog::create(dir / "shop", fetching);
    const Item shirt = file_item("shirt", "shop://shirt");
    CHECK(catalog.add({&shirt, 1}).added == 1);
  }
  SECTION("not where something is already") {
    Catalog::create(dir / "shop", options);
    CHECK_ERROR(Catalog::create(dir / "shop", options), ErrorCode::kAlreadyExists,
                (dir / "shop").string() + " exists already");
    fs::create_directories(dir / "full/x");
    CHECK_ERROR(Catalog::create(dir / "full", options), ErrorCode::kAlreadyExists, "empty folder");
    write_file(dir / "file", {});
    CHECK_ERROR(Catalog::create(dir / "file", options), ErrorCode::kAlreadyExists, "file");
  }
  SECTION("a failure leaves nothing behind") {
    CHECK_ERROR(Catalog::create(dir / "shop", {}), ErrorCode::kInvalidArgument, "needs an encoder");
    auto bad_links = options;
    bad_links.links = 1;
    CHECK_ERROR(Catalog::create(dir / "p/shop", bad_links), ErrorCode::kInvalidArgument, "links");
    auto bad_name = options;
    bad_name.encoder_ref = "\xFF";
    CHECK_ERROR(Catalog::create(dir / "shop", bad_name), ErrorCode::kInvalidArgument, "not UTF-8");
    CHECK(fs::is_empty(dir.path()));
    write_file(dir / "file", {});
    CHECK_ERROR(Catalog::create(dir / "file/shop", options), ErrorCode::kIo,
                "check the permissions");
    // A name that is too long, below parents that are new.
    CHECK_ERROR(Catalog::create(dir.path() / "p" / "q" / std::string(300, 'x'), options),
                ErrorCode::kIo, "cannot create the catalogue");
    CHECK_FALSE(fs::exists(dir / "p"));
  }
}

TEST_CASE("what is no catalogue is not opened") {
  TempDir dir;
  CHECK_ERROR(Catalog::open(dir / "none"), ErrorCode::kFileNotFound,
              "there is no catalogue at " + (dir / "none").string());
  write_file(dir / "file", {});
  CHECK_ERROR(Catalog::open(dir / "file"), ErrorCode::kCorrupt, "not a folder");
  fs::create_directory(dir / "photos");
  CHECK_ERROR(Catalog::open(dir / "photos"), ErrorCode::kCorrupt, "a folder without catalog.db");
  CHECK(fs::is_empty(dir / "photos"));
}

TEST_CASE("the encoder is loaded when it is needed, once, and must be the catalogue's") {
  TempDir dir;
  { create_catalog(dir / "shop"); }
  write_file(dir / "red.bmp", plain_bmp({255, 0, 0}));
  const std::vector<Item> items{file_item("red", dir / "red.bmp")};
  CatalogOptions options;
  SECTION("a loader that fails at first") {
    int calls = 0;
    options.encoder_loader = [&](const std::string& name) -> std::shared_ptr<vsearch::Encoder> {
      CHECK(name == "fake-grid");
      if (++calls == 1) throw vsearch::Error(ErrorCode::kFileNotFound, "not yet");
      return std::make_shared<FakeEncoder>();
    };
    Catalog catalog = Catalog::open(dir / "shop", options);
    CHECK(calls == 0);
    CHECK_ERROR(catalog.add(items), ErrorCode::kFileNotFound, "not yet");
    CHECK(catalog.add(items).added == 1);
    catalog.serving()->encoder();
    CHECK(calls == 2);
  }
  SECTION("another encoder") {
    options.encoder = std::make_shared<FakeEncoder>(std::string(64, 'e'));
    CHECK_ERROR(Catalog::open(dir / "shop", options), ErrorCode::kEncoderMismatch,
                "was made with the encoder fake-grid (fingerprint ffff");
    options.encoder_loader = [&](const std::string&) { return options.encoder; };
    CatalogOptions lazy;
    lazy.encoder_loader = options.encoder_loader;
    Catalog catalog = Catalog::open(dir / "shop", lazy);
    CHECK_ERROR(catalog.add(items), ErrorCode::kEncoderMismatch,
                "give it that encoder, re-encode it with the other one, or make a new");
    CHECK(catalog.keys().empty());
  }
  SECTION("none") {
    Catalog catalog = Catalog::open(dir / "shop");
    CHECK_ERROR(catalog.add(items), ErrorCode::kUnavailable, "needs its encoder fake-grid");
    add_embedded(catalog, "embedded", 1);  // needs none
  }
  SECTION("a loader that gives nothing") {
    options.encoder_loader = [](const std::string&) { return nullptr; };
    Catalog catalog = Catalog::open(dir / "shop", options);
    CHECK_ERROR(catalog.serving()->encoder(), ErrorCode::kUnavailable, "gave no encoder");
  }
}

TEST_CASE("a catalogue has one owner") {
  TempDir dir;
  const fs::path path = dir / "shop";
  std::optional<Catalog> catalog = create_catalog(path);
  add_embedded(*catalog, "a", 1);
  SECTION("within the process") {
    CHECK_ERROR(Catalog::open(path), ErrorCode::kBusy,
                "is open in this process (" + std::to_string(getpid()) + ")");
    add_embedded(*catalog, "b", 2);
  }
  SECTION("among processes, the owner is named") {
    const pid_t parent = getpid();
    CHECK(in_child([&] {
            const auto error = error_of([&] { Catalog::open(path); });
            const std::string expected = "is open in process " + std::to_string(parent);
            return error && error->code() == ErrorCode::kBusy &&
                           std::string(error->what()).find(expected) != std::string::npos
                       ? 0
                       : 1;
          }) == 0);
    add_embedded(*catalog, "b", 2);
  }
  SECTION("a forked child cannot use it, and its end does no harm") {
    const auto edition = catalog->serving();
    CHECK(in_child([&] {
            const auto vector = random_vector(1);
            const std::vector<std::string> keys{"a"};
            const std::vector<vsearch::MetadataPatch> patches{{"a", R"({"x":1})"}};
            const std::vector<std::function<void()>> calls{
                [&] { add_embedded(*catalog, "c", 3); },
                [&] { catalog->remove(keys); },
                [&] { catalog->patch(patches); },
                [&] { catalog->save_snapshot(); },
                [&] { catalog->get("a"); },
                [&] { catalog->keys(); },
                [&] { catalog->for_each([](const auto&) { return true; }); },
                [&] { catalog->info(); },
                [&] { catalog->serving(); },
                [&] { catalog->pictures_of("a"); },
                [&] { catalog->pictures({}); },
                [&] { catalog->near_pictures(*edition, vector, {}); },
                [&] { catalog->match(vsearch::Filter::parse("x = 1")); },
                [&] { vsearch::Searcher(*catalog).search(vsearch::Query::vector(vector)); },
            };
            for (std::size_t i = 0; i < calls.size(); ++i) {
              const auto error = error_of(calls[i]);
              if (!error || error->code() != ErrorCode::kBusy ||
                  std::string(error->what()).find("after the fork") == std::string::npos) {
                return static_cast<int>(1 + i);
              }
            }
            catalog.reset();
            return 0;
          }) == 0);
    add_embedded(*catalog, "b", 2);
    catalog->save_snapshot();
  }
  catalog.reset();
  CHECK(Catalog::open(path).keys().size() >= 1);
  CHECK(Catalog::open(path).keys().front() == "a");
}

TEST_CASE("a catalogue can be moved") {
  TempDir dir;
  Catalog first = create_catalog(dir / "first");
  add_embedded(first, "a", 1);
  Catalog second = create_catalog(dir / "second");
  second = std::move(first);
  CHECK(second.keys() == std::vector<std::string>{"a"});
  CHECK(Catalog::open(dir / "second").keys().empty());  // it was closed
  CHECK_ERROR(Catalog::open(dir / "first"), ErrorCode::kBusy, "first");
}

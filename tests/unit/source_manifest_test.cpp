// Manifests: tables whose rows are the items.
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "support/catalogs.h"
#include "support/sources.h"
#include "support/temp_dir.h"
#include "vsearch/source.h"

using namespace vsearch_test;
using vsearch::CropBox;
using vsearch::ErrorCode;
using vsearch::list_source;
using vsearch::ManifestSource;
using vsearch::SourceItem;
using vsearch::SourceListing;

namespace fs = std::filesystem;

namespace {

using Keys = std::vector<std::string>;

SourceListing list_text(const fs::path& file, std::string_view text,
                        const std::string& key_column = "key") {
  ManifestSource source;
  source.file = write_text(file, text);
  source.key_column = key_column;
  return list_source(source);
}

}  // namespace

TEST_CASE("rows of a CSV manifest are items") {
  TempDir dir;
  const SourceListing listing =
      list_text(dir / "shop.CSV",
                "\xEF\xBB\xBFsku,path,role,crop,title,price\r\n"
                "007,img/a.jpg,front,0 0.25 .5 1,\"A, \"\"B\"\"\",9.50\r\n"
                "\r\n"
                "Größe,../b.jpg,,,\"two\r\nlines\",\r\n"
                "007,/x/./c.jpg,back,,ignored,1",
                "sku");
  REQUIRE(keys_in(listing) == Keys{"007", "Größe"});
  const SourceItem& first = listing.items[0];
  CHECK(first.metadata == R"({"price":9.5,"title":"A, \"B\""})");
  REQUIRE(first.pictures.size() == 2);
  CHECK(first.pictures[0].path == (dir / "img/a.jpg").string());
  CHECK(first.pictures[0].role == "front");
  CHECK(first.pictures[0].crop == CropBox{0, 0.25F, 0.5F, 1});
  CHECK(first.pictures[1].path == "/x/c.jpg");
  CHECK(first.pictures[1].role == "back");
  CHECK(first.pictures[1].crop.is_whole());
  const SourceItem& second = listing.items[1];
  CHECK(second.metadata == R"({"title":"two\r\nlines"})");
  CHECK(second.pictures.at(0).path == (dir.path().parent_path() / "b.jpg").string());
}

TEST_CASE("lines of a JSON manifest are items") {
  TempDir dir;
  const SourceListing listing = list_text(
      dir / "shop.jsonl",
      R"({"key": 7, "path": "a.jpg", "crop": [0, 0, 1, 0.5], "role": null, "tags": ["new"], "x": null})"
      "\r\n\n"
      R"({"key": "b", "pictures": ["1.jpg", {"path": "2.jpg", "role": "back", "crop": [0.5, 0, 1, 1]}], "crop": "kept"})"
      "\n"
      R"({"key": "b", "pictures": [{"path": "2.jpg", "crop": null}]})");
  CHECK(metadata_in(listing) ==
        std::map<std::string, std::string>{{"7", R"({"tags":["new"],"x":null})"},
                                           {"b", R"({"crop":"kept"})"}});
  CHECK(listing.items[0].pictures.at(0).crop == CropBox{0, 0, 1, 0.5F});
  CHECK(pictures_in(listing, dir.path()).at("b") == Keys{"1.jpg", "2.jpg", "2.jpg"});
  CHECK(listing.items[1].pictures[1].role == "back");
  CHECK(listing.items[1].pictures[1].crop == CropBox{0.5F, 0, 1, 1});
}

TEST_CASE("URIs are kept, those of files become paths") {
  TempDir dir;
  const SourceListing listing = list_text(dir / "m.csv",
                                          "key,path\n"
                                          "1,https://shop.example/a%20b.jpg?size=1\n"
                                          "2,s3+http.x-1://bucket/../a.jpg\n"
                                          "3,file:///pictures/a%20b/../%C3%BC.jpg\n"
                                          "4,FILE://localhost/x.jpg\n"
                                          "5,a:/b.jpg\n"
                                          "6,1st://b.jpg\n"
                                          "7,dir:x/a://b.jpg\n");
  const Pictures pictures = pictures_in(listing, dir.path());
  CHECK(pictures.at("1") == Keys{"https://shop.example/a%20b.jpg?size=1"});
  CHECK(pictures.at("2") == Keys{"s3+http.x-1://bucket/../a.jpg"});
  CHECK(pictures.at("3") == Keys{"/pictures/ü.jpg"});
  CHECK(pictures.at("4") == Keys{"/x.jpg"});
  CHECK(pictures.at("5") == Keys{"a:/b.jpg"});  // no "://": a path
  CHECK(pictures.at("6") == Keys{"1st:/b.jpg"});
  CHECK(pictures.at("7") == Keys{"dir:x/a:/b.jpg"});
  for (const std::string bad : {"file://server/a.jpg", "file:///%zz", "file:///a%0", "file:///%00",
                                "file://", "file://localhost"}) {
    INFO(bad);
    CHECK_ERROR(list_text(dir / "bad.csv", "key,path\n1," + bad + "\n"),
                ErrorCode::kInvalidArgument, "bad.csv', line 2: '" + bad + "' names no file of");
  }
}

TEST_CASE("the path may be the key") {
  TempDir dir;
  const SourceListing csv = list_text(dir / "m.csv", "path,n\na/b.jpg,1\n", "path");
  CHECK(pictures_in(csv, dir.path()) == Pictures{{"a/b.jpg", {"a/b.jpg"}}});
  const SourceListing lines = list_text(dir / "m.jsonl", R"({"path": "a/b.jpg"})", "path");
  CHECK(pictures_in(lines, dir.path()) == Pictures{{"a/b.jpg", {"a/b.jpg"}}});
}

TEST_CASE("a manifest without rows lists nothing") {
  TempDir dir;
  CHECK(list_text(dir / "m.csv", "key,path\n").items.empty());
  CHECK(list_text(dir / "m.jsonl", "\n").items.empty());
}

TEST_CASE("a bad manifest is refused with its line") {
  TempDir dir;
  struct Case {
    std::string name, content, message;
  };
  for (const Case& bad : std::vector<Case>{
           {"m.csv", "", "line 1: the file is empty"},
           {"m.csv", "sku,path\n1,a.jpg\n", "there is no column 'key'; the columns are: sku, path"},
           {"m.csv", "key,file\n1,a.jpg\n", "there is no column 'path', which names the pictures"},
           {"m.csv", "key,path\n1,a.jpg\n,b.jpg\n", "line 3: there is no 'key'"},
           {"m.csv", "key,path\n1,\n", "line 2: there is no 'path', so the item has no picture"},
           {"m.csv", "key,path\ncaf\xe9,a.jpg\n", "line 2: the text is not UTF-8"},
           {"m.csv", "key,path\n1,caf\xe9.jpg\n", "line 2: the text is not UTF-8"},
           {"m.csv", "key,path,role\n1,a.jpg,\xff\n", "line 2: the text is not UTF-8"},
           {"m.csv", "key,path,n\n1,a.jpg,\xff\n", "line 2: the text is not UTF-8"},
           {"m.csv", "key,path\n1,a.jpg\n2,b.jpg\n1,./a.jpg\n",
            "the item '1' has the picture '" + (dir / "a.jpg").string() + "' twice"},
           {"m.csv", "key,path,crop\n1,a.jpg,0 0 1\n", "line 2: the crop \"0 0 1\" is not four"},
           {"m.csv", "key,path,crop\n1,a.jpg,0 0 1 1 1\n", "is not four shares"},
           {"m.csv", "key,path,crop\n1,a.jpg,0 0 1 1x\n", "is not four shares"},
           {"m.csv", "key,path,crop\n1,a.jpg,0 0 2 1\n", "is not four shares"},
           {"m.csv", "key,path,crop\n1,a.jpg,-0.1 0 1 1\n", "is not four shares"},
           {"m.csv", "key,path,crop\n1,a.jpg,0.5 0 0.5 1\n", "is not four shares"},
           {"m.csv", "key,path,crop\n1,a.jpg,0 nan 1 1\n", "is not four shares"},
           {"m.csv", "key,path,crop\n1,a.jpg,5\n", "the crop 5 is not four shares"},
           {"m.jsonl", R"({"key": 1, "path": "a", "crop": ["0", 0, 1, 1]})", "is not four shares"},
           {"m.jsonl", R"({"key": 1, "path": "a", "role": []})", "'role' must be a text"},
           {"m.jsonl", R"({"key": 1, "path": ["a"]})", "line 1: 'path' must be a text"},
           {"m.jsonl", R"({"key": true, "path": "a"})", "line 1: 'key' must be a text"},
           {"m.jsonl", R"({"key": 1})", "line 1: there is no 'path'"},
           {"m.jsonl", R"({"key": 1, "path": "a", "pictures": ["b"]})", "both 'path' and"},
           {"m.jsonl", R"({"key": 1, "pictures": []})", "'pictures' must be an array"},
           {"m.jsonl", R"({"key": 1, "pictures": "a"})", "'pictures' must be an array"},
           {"m.jsonl", R"({"key": 1, "pictures": [1]})", "'pictures' must hold paths"},
           {"m.jsonl", R"({"key": 1, "pictures": [{"role": "x"}]})", "there is no 'path'"},
           {"m.jsonl", R"({"key": 1, "pictures": [{"path": "a", "tag": 1}]})", "but no 'tag'"},
           {"m.json", "{}", "a manifest ends in .csv or .jsonl"},
       }) {
    INFO(bad.content);
    CHECK_ERROR(list_text(dir / bad.name, bad.content), ErrorCode::kInvalidArgument, bad.message);
  }
  CHECK_ERROR(list_source(ManifestSource{dir / "none.csv"}), ErrorCode::kFileNotFound,
              "the manifest '" + (dir / "none.csv").string() + "' does not exist");
}

TEST_CASE("a long manifest takes a short time, and can be stopped") {
  constexpr int kRows = 20'000;
  TempDir dir;
  std::string many = "key,path,title,price\n";
  std::string one = many;
  for (int i = 0; i < kRows; ++i) {
    const std::string rest = ",img/" + std::to_string(i) + ".jpg,\"A title, long\",9.95\n";
    many += std::to_string(i) + rest;
    one += "same" + rest;  // nothing may be quadratic in the pictures of an item
  }
  const auto begin = std::chrono::steady_clock::now();
  CHECK(list_text(dir / "many.csv", many).items.size() == kRows);
  const SourceListing single = list_text(dir / "one.csv", one);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
  REQUIRE(single.items.size() == 1);
  CHECK(single.items[0].pictures.size() == kRows);

  std::uint64_t counted = 0;
  const auto count = [&](std::uint64_t done, std::uint64_t) {
    counted = done;
    return true;
  };
  list_source(ManifestSource{dir / "many.csv"}, count);
  CHECK(counted == kRows);
  CHECK_ERROR(list_source(ManifestSource{dir / "many.csv"}, [](auto, auto) { return false; }),
              ErrorCode::kCancelled, "stopped");
}

// Sources of files: which pictures there are, their keys, and what a metadata file says of them.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "support/catalogs.h"
#include "support/sources.h"
#include "support/temp_dir.h"
#include "vsearch/source.h"

using namespace vsearch_test;
using vsearch::ErrorCode;
using vsearch::FilesSource;
using vsearch::find_key_rule;
using vsearch::KeyRule;
using vsearch::list_source;
using vsearch::SourceListing;

namespace fs = std::filesystem;

namespace {

using Keys = std::vector<std::string>;

FilesSource files(const fs::path& path, KeyRule keys = KeyRule::kPath) {
  FilesSource source;
  source.paths = {path};
  source.keys = keys;
  return source;
}

FilesSource described(const fs::path& path, const fs::path& metadata,
                      KeyRule keys = KeyRule::kPath) {
  FilesSource source = files(path, keys);
  source.metadata = metadata;
  return source;
}

}  // namespace

TEST_CASE("rules for keys have names") {
  CHECK(find_key_rule("path") == KeyRule::kPath);
  CHECK(find_key_rule("stem") == KeyRule::kStem);
  CHECK(find_key_rule("name") == KeyRule::kName);
  CHECK(find_key_rule("folder") == KeyRule::kFolder);
  CHECK_FALSE(find_key_rule("Path"));
  CHECK_FALSE(find_key_rule(""));
}

TEST_CASE("keys follow from where pictures lie") {
  TempDir dir;
  const fs::path photos = dir / "photos";
  touch(photos, {"hats/b.PNG", "shoes/a.b.jpg", "shoes/red/2.jpg", "shoes/red/10.webp"});

  SECTION("by path") {
    CHECK(keys_in(list_source(files(photos))) ==
          Keys{"hats/b.PNG", "shoes/a.b.jpg", "shoes/red/10.webp", "shoes/red/2.jpg"});
  }
  SECTION("by path without the ending") {
    CHECK(keys_in(list_source(files(photos, KeyRule::kStem))) ==
          Keys{"hats/b", "shoes/a.b", "shoes/red/10", "shoes/red/2"});
  }
  SECTION("by name") {
    CHECK(keys_in(list_source(files(photos, KeyRule::kName))) ==
          Keys{"b.PNG", "a.b.jpg", "10.webp", "2.jpg"});
  }
  SECTION("by folder, whose pictures are one item in the order of their names") {
    const SourceListing listing = list_source(files(photos, KeyRule::kFolder));
    CHECK(pictures_in(listing, photos) ==
          Pictures{{"hats", {"hats/b.PNG"}},
                   {"shoes", {"shoes/a.b.jpg"}},
                   {"shoes/red", {"shoes/red/10.webp", "shoes/red/2.jpg"}}});
    CHECK(keys_in(listing) == Keys{"hats", "shoes", "shoes/red"});
  }
  SECTION("a picture that is named itself has its name, whatever the rule") {
    for (const KeyRule rule : {KeyRule::kPath, KeyRule::kStem, KeyRule::kName, KeyRule::kFolder}) {
      CHECK(keys_in(list_source(files(photos / "shoes/red/2.jpg", rule))) == Keys{"2.jpg"});
    }
  }
  SECTION("however the folder is written") {
    for (const std::string name : {"/", "/.", "//", "/../photos", "/hats/../"}) {
      const SourceListing listing = list_source(files(photos.string() + name));
      CHECK(listing.items.at(0).key == "hats/b.PNG");
      CHECK(listing.items.at(0).pictures.at(0).path == (photos / "hats/b.PNG").string());
    }
  }
}

TEST_CASE("a key that would stand for two pictures is an error") {
  TempDir dir;
  touch(dir.path(), {"a/red.jpg", "a/red.png", "b/red.jpg"});
  const auto clash = ErrorCode::kInvalidArgument;

  CHECK(list_source(files(dir.path())).items.size() == 3);
  CHECK_ERROR(list_source(files(dir.path(), KeyRule::kStem)), clash,
              "the key 'a/red' would stand for two pictures: '" + (dir / "a/red.jpg").string() +
                  "' and '" + (dir / "a/red.png").string() + "'; make keys of whole paths");
  CHECK_ERROR(list_source(files(dir.path(), KeyRule::kName)), clash, "the key 'red.jpg' would");

  FilesSource both;
  both.paths = {dir / "a", dir / "b"};
  CHECK_ERROR(list_source(both), clash, "add the folder that holds both");
  SECTION("two folders of one name are not one item") {
    touch(dir.path(), {"x/hat/1.jpg", "y/hat/2.jpg"});
    both.paths = {dir / "x", dir / "y"};
    both.keys = KeyRule::kFolder;
    CHECK_ERROR(list_source(both), clash, "the key 'hat' would stand for two pictures");
  }
  SECTION("a picture in the folder that was named has no folder's key") {
    touch(dir.path(), {"stray.jpg"});
    CHECK_ERROR(list_source(files(dir.path(), KeyRule::kFolder)), clash,
                "stray.jpg' lies in no folder below the one that was named");
  }
  SECTION("rows give them keys of their own") {
    const fs::path table = write_text(dir / "m.csv", "key,path\nk1,a/red.png\nk2,b/red.jpg\n");
    CHECK(keys_in(list_source(described(dir.path(), table, KeyRule::kName))) ==
          Keys{"k1", "k2", "red.jpg"});
  }
}

TEST_CASE("several paths make one listing, and a file counts once") {
  TempDir dir;
  touch(dir.path(), {"a/1.jpg", "b/2.jpg", "c/note.txt"});
  FilesSource source;
  source.paths = {dir / "b/2.jpg", dir / "a", dir / "b", dir / "c/note.txt"};
  CHECK(pictures_in(list_source(source), dir.path()) ==
        Pictures{{"2.jpg", {"b/2.jpg"}}, {"1.jpg", {"a/1.jpg"}}, {"note.txt", {"c/note.txt"}}});
  source.paths.clear();
  CHECK_ERROR(list_source(source), ErrorCode::kInvalidArgument, "needs a path");
}

TEST_CASE("what is hidden, and what is no picture, is left out") {
  TempDir dir;
  touch(dir.path(),
        {".hidden.jpg", ".git/a.jpg", "a/.b/c.jpg", "note.txt", "jpg", "ok.jpg", "a/Größe ✓.jpg"});
  fs::create_directory(dir / "folder.jpg");
  REQUIRE(mkfifo((dir / "pipe.jpg").c_str(), 0600) == 0);
  CHECK(keys_in(list_source(files(dir.path()))) == Keys{"a/Größe ✓.jpg", "ok.jpg"});
}

TEST_CASE("symbolic links are followed, every folder is read once") {
  TempDir dir;
  const fs::path photos = dir / "photos";
  touch(photos, {"real/1.jpg"});
  touch(dir.path(), {"outside/2.jpg", "other.jpg"});
  fs::create_symlink("real", photos / "a_link");             // the real name wins
  fs::create_symlink("..", photos / "real/up");              // a loop
  fs::create_symlink(dir / "outside", photos / "b");         // reached by a link alone
  fs::create_symlink(dir / "outside", photos / "c");         // and by a second one
  fs::create_symlink(dir / "other.jpg", photos / "d.jpg");   // a file keeps the link's name
  fs::create_symlink(dir / "missing", photos / "gone.jpg");  // broken: reported when it is opened
  fs::create_symlink("self.jpg", photos / "self.jpg");       // a loop of a file: nothing there
  const SourceListing listing = list_source(files(photos));
  CHECK(keys_in(listing) == Keys{"b/2.jpg", "d.jpg", "gone.jpg", "real/1.jpg"});
  CHECK(listing.problems.empty());
  CHECK(listing.items[0].pictures[0].path == (photos / "b/2.jpg").string());
}

TEST_CASE("nothing at a path, or no pictures, is an error") {
  TempDir dir;
  CHECK_ERROR(list_source(files(dir / "none")), ErrorCode::kFileNotFound,
              (dir / "none").string() + "': no such file or folder");
  touch(dir.path(), {"texts/readme.txt"});
  CHECK_ERROR(list_source(files(dir / "texts")), ErrorCode::kInvalidArgument,
              "the folder '" + (dir / "texts").string() + "' holds no pictures");
}

TEST_CASE("a folder that may not be read is reported") {
  if (geteuid() == 0) return;  // root may read every folder
  TempDir dir;
  touch(dir.path(), {"ok/1.jpg", "closed/2.jpg"});
  fs::permissions(dir / "closed", fs::perms::none);
  const SourceListing listing = list_source(files(dir.path()));
  CHECK(keys_in(listing) == Keys{"ok/1.jpg"});
  REQUIRE(listing.problems.size() == 1);
  CHECK_THAT(listing.problems[0],
             Catch::Contains("cannot read the folder '" + (dir / "closed").string() + "'"));
  fs::permissions(dir / "ok", fs::perms::none);
  CHECK_ERROR(list_source(files(dir.path())), ErrorCode::kInvalidArgument, "closed'");
  fs::permissions(dir / "closed", fs::perms::owner_all);
  fs::permissions(dir / "ok", fs::perms::owner_all);
}

TEST_CASE("a metadata file describes pictures") {
  TempDir dir;
  touch(dir.path(), {"photos/a.jpg", "photos/b.jpg", "photos/c/d.jpg"});
  const fs::path photos = dir / "photos";

  SECTION("by key and by path; the rest is counted") {
    const fs::path table = write_text(
        dir / "m.csv", "key,path,n\nb.jpg,,1\n,./photos/c/d.jpg,2\ngone.jpg,,3\n,x/y.jpg,4\n");
    const SourceListing listing = list_source(described(photos, table));
    CHECK(metadata_in(listing) == std::map<std::string, std::string>{{"b.jpg", R"({"n":1})"},
                                                                     {"c/d.jpg", R"({"n":2})"},
                                                                     {"a.jpg", "{}"}});
    CHECK(keys_in(listing) == Keys{"b.jpg", "c/d.jpg", "a.jpg"});
    CHECK(listing.undescribed == 1);
    CHECK(listing.unused_rows == Keys{"gone.jpg", "x/y.jpg"});
  }
  SECTION("a file that describes no picture is refused") {
    const fs::path other = write_text(dir / "m.csv", "key,n\ngone.jpg,3\n");
    CHECK_ERROR(list_source(described(photos, other)), ErrorCode::kInvalidArgument,
                "m.csv' describes none of the 3 pictures: it names 'gone.jpg'; name pictures by "
                "their keys, such as 'a.jpg', or by paths");
    CHECK_ERROR(list_source(described(photos, write_text(dir / "m.csv", "key,n\n"))),
                ErrorCode::kInvalidArgument, "describes none of the 3 pictures: it has no rows");
  }
  SECTION("role and crop are metadata here like anything else") {
    const fs::path table = write_text(dir / "m.csv", "path,role,crop\na.jpg,front,0 0 1 1\n");
    CHECK(metadata_in(list_source(described(photos, table))).at("a.jpg") ==
          R"({"crop":"0 0 1 1","role":"front"})");
  }
  SECTION("rows with one key make one item, with the metadata of the first") {
    const fs::path table = write_text(dir / "m.jsonl",
                                      "{\"key\": 7, \"path\": \"c/d.jpg\", \"n\": [1]}\n\n"
                                      "{\"key\": 7, \"path\": \"a.jpg\", \"n\": 2}\n"
                                      "{\"key\": null, \"path\": \"b.jpg\"}\n");
    const SourceListing listing = list_source(described(photos, table));
    CHECK(pictures_in(listing, photos) ==
          Pictures{{"7", {"c/d.jpg", "a.jpg"}}, {"b.jpg", {"b.jpg"}}});
    CHECK(metadata_in(listing).at("7") == R"({"n":[1]})");
    CHECK(listing.undescribed == 0);
  }
  SECTION("a picture may be of two items") {
    const fs::path table = write_text(dir / "m.csv", "key,path\nk1,a.jpg\nk2,a.jpg\n");
    CHECK(
        pictures_in(list_source(described(photos, table)), photos) ==
        Pictures{
            {"k1", {"a.jpg"}}, {"k2", {"a.jpg"}}, {"b.jpg", {"b.jpg"}}, {"c/d.jpg", {"c/d.jpg"}}});
  }
  SECTION("a column for the key, which every row must have") {
    const fs::path table = write_text(dir / "m.csv", "sku,path,key\n01,a.jpg,x\n,b.jpg,y\n");
    FilesSource source = described(photos, table);
    CHECK(metadata_in(list_source(source)).at("x") == R"({"sku":"01"})");
    source.key_column = "sku";
    CHECK_ERROR(list_source(source), ErrorCode::kInvalidArgument,
                "m.csv', line 3: there is no 'sku', so the row is about nothing");
    source.key_column = "ean";
    CHECK_ERROR(list_source(source), ErrorCode::kInvalidArgument,
                "line 1: there is no column 'ean'; the columns are: sku, path, key");
  }
}

TEST_CASE("a metadata file and the other rules") {
  TempDir dir;
  touch(dir.path(), {"hat/1.jpg", "hat/2.jpg", "shoe/3.jpg", "shoe/4.jpg"});

  SECTION("a row may name a picture by the key that the rule gives it") {
    const fs::path table = write_text(dir / "m.csv", "key,n\nhat/1,1\nshoe/3.jpg,3\n");
    const auto metadata = metadata_in(list_source(described(dir.path(), table, KeyRule::kStem)));
    CHECK(metadata.at("hat/1") == R"({"n":1})");
    CHECK(metadata.at("shoe/3.jpg") == R"({"n":3})");
    CHECK(metadata.contains("shoe/4"));
  }
  SECTION("of a folder, a row describes all pictures") {
    const fs::path table = write_text(dir / "m.csv", "key,n\nhat,1\n");
    const SourceListing listing = list_source(described(dir.path(), table, KeyRule::kFolder));
    CHECK(pictures_in(listing, dir.path()) ==
          Pictures{{"hat", {"hat/1.jpg", "hat/2.jpg"}}, {"shoe", {"shoe/3.jpg", "shoe/4.jpg"}}});
    CHECK(metadata_in(listing).at("hat") == R"({"n":1})");
    CHECK(listing.undescribed == 2);
  }
  SECTION("also when it names one of them; the first one counts") {
    const fs::path table =
        write_text(dir / "m.csv", "key,path,n\n,hat/2.jpg,2\nhat,hat/1.jpg,1\nhat,,3\n");
    const SourceListing listing = list_source(described(dir.path(), table, KeyRule::kFolder));
    CHECK(pictures_in(listing, dir.path()).at("hat") == Keys{"hat/1.jpg", "hat/2.jpg"});
    CHECK(metadata_in(listing).at("hat") == R"({"n":2})");
  }
  SECTION("a row may give a folder another key, and take one picture out of it") {
    const fs::path table = write_text(dir / "m.csv", "key,path\nH,hat\nS,shoe/4.jpg\n");
    CHECK(pictures_in(list_source(described(dir.path(), table, KeyRule::kFolder)), dir.path()) ==
          Pictures{
              {"H", {"hat/1.jpg", "hat/2.jpg"}}, {"S", {"shoe/4.jpg"}}, {"shoe", {"shoe/3.jpg"}}});
  }
  SECTION("but not put it into another folder's item") {
    const fs::path table = write_text(dir / "m.csv", "key,path\nhat,shoe/4.jpg\n");
    CHECK_ERROR(list_source(described(dir.path(), table, KeyRule::kFolder)),
                ErrorCode::kInvalidArgument, "the key 'hat' would stand for two pictures");
  }
}

TEST_CASE("a bad metadata file is refused with its line") {
  TempDir dir;
  touch(dir.path(), {"a.jpg", "b.jpg"});
  struct Case {
    std::string name, content, message;
  };
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  for (const Case& bad : std::vector<Case>{
           {"m.csv", "", "line 1: the file is empty"},
           {"m.csv", "path,a,a\n", "line 1: two columns are called 'a'; rename one"},
           {"m.csv", "\n\npath,,b\n", "line 3: column 2 has no name; the first line names them"},
           {"m.csv", "sku;path\n",
            "no column 'key' and no column 'path'; the columns are: sku;path"},
           {"m.csv", "path,n\na.jpg,1\nb.jpg\n", "line 3: the row has 1 cells, the header has 2"},
           {"m.csv", "path,n\n\"x\ny\",1\na.jpg,\"1\n", "line 4: a quote is opened"},
           {"m.csv", "path,n\na.jpg,\"1\"2\n", "line 2: there is text after a closing quote"},
           {"m.csv", "path,n\n,1\n", "line 2: there is no 'key' and no 'path'"},
           {"m.csv", "path,n\na.jpg,caf\xe9\n", "line 2: the text is not UTF-8; save the file"},
           {"m.csv", "path\na.jpg\n./a.jpg\n", "lines 2 and 3 are both about './a.jpg'"},
           {"m.jsonl", "{\"path\": \"a.jpg\"}\n{\"path\": \n", "line 2: this is not a JSON object"},
           {"m.jsonl", "[\"a.jpg\"]\n", "line 1: this is not a JSON object"},
           {"m.jsonl", "{\"key\": 1.5}\n", "line 1: 'key' must be a text or an integer"},
           {"m.jsonl", "{\"key\": null}\n", "line 1: there is no 'key' and no 'path'"},
           {"m.jsonl", "{\"path\": \"a.jpg\", \"x\": " + deep + "}", "line 1: it is nested more"},
           {"m.txt", "path\na.jpg\n", "a metadata file ends in .csv or .jsonl"},
       }) {
    INFO(bad.name << ": " << bad.message);
    const fs::path table = write_text(dir / bad.name, bad.content);
    CHECK_ERROR(list_source(described(dir.path(), table)), ErrorCode::kInvalidArgument,
                bad.message);
  }
  CHECK_ERROR(list_source(described(dir.path(), dir / "none.csv")), ErrorCode::kFileNotFound,
              "the metadata file '" + (dir / "none.csv").string() + "' does not exist");
  fs::create_directory(dir / "folder.csv");
  CHECK_ERROR(list_source(described(dir.path(), dir / "folder.csv")), ErrorCode::kIo,
              "cannot read the metadata file");
}

TEST_CASE("listing files counts them and can be stopped") {
  TempDir dir;
  touch(dir.path(), {"a.jpg", "b.jpg", "c/d.jpg"});
  std::uint64_t counted = 0;
  list_source(files(dir.path()), [&](std::uint64_t done, std::uint64_t total) {
    CHECK(total == 0);
    counted = done;
    return true;
  });
  CHECK(counted == 3);
  CHECK_ERROR(list_source(files(dir.path()), [](auto, auto) { return false; }),
              ErrorCode::kCancelled, "stopped");
}

TEST_CASE("patches are read from a table") {
  TempDir dir;
  const fs::path csv = write_text(dir / "p.csv",
                                  "\xEF\xBB\xBFkey,path,price,note\r\n"
                                  "7,x.jpg,9.5,\r\n\"a,b\",,,\"two\r\nlines\"\r\n");
  auto patches = vsearch::read_patches(csv);
  REQUIRE(patches.size() == 2);
  CHECK(patches[0].key == "7");
  CHECK(patches[0].changes == R"({"price":9.5})");
  CHECK(patches[1].key == "a,b");
  CHECK(patches[1].changes == R"({"note":"two\r\nlines"})");

  const fs::path lines = write_text(dir / "p.jsonl", R"({"sku": 7, "price": null, "crop": 1})");
  patches = vsearch::read_patches(lines, "sku");
  REQUIRE(patches.size() == 1);
  CHECK(patches[0].changes == R"({"crop":1,"price":null})");
  CHECK_ERROR(vsearch::read_patches(lines), ErrorCode::kInvalidArgument,
              "line 1: there is no 'key', so the row is about nothing");
  CHECK_ERROR(vsearch::read_patches(write_text(dir / "q.csv", "path,n\na,1\n")),
              ErrorCode::kInvalidArgument, "there is no column 'key'; the columns are: path, n");
}

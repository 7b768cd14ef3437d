// Catalog::export_to and Catalog::import_from.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"
#include "vsearch/vector_file.h"

using namespace vsearch_test;
using nlohmann::json;
using vsearch::AddReport;
using vsearch::Catalog;
using vsearch::ErrorCode;
using vsearch::ExportReport;
using vsearch::ItemRecord;

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}
void write_text(const fs::path& file, const std::string& text) {
  write_file(file, std::as_bytes(std::span(text)));
}
std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}
void write_lines(const fs::path& file, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  write_text(file, text);
}
// Changes the object in a file, or in a line.
std::string with(const std::string& text, const std::function<void(json&)>& change) {
  json object = json::parse(text);
  change(object);
  return object.dump();
}

// As a record, but for what a catalogue gives by itself.
void check_same(const Catalog& a, const Catalog& b) {
  REQUIRE(a.keys() == b.keys());
  for (const std::string& key : a.keys()) {
    INFO(key);
    const ItemRecord x = *a.get(key);
    const ItemRecord y = *b.get(key);
    CHECK(x.metadata == y.metadata);
    REQUIRE(x.pictures.size() == y.pictures.size());
    for (std::size_t i = 0; i < x.pictures.size(); ++i) {
      CHECK(x.pictures[i].path == y.pictures[i].path);
      CHECK(x.pictures[i].role == y.pictures[i].role);
      CHECK(x.pictures[i].crop == y.pictures[i].crop);
      CHECK(x.pictures[i].content_hash == y.pictures[i].content_hash);
    }
  }
}

// A shop with pictures of all kinds.
Catalog make_shop(const TempDir& dir, std::shared_ptr<vsearch::Encoder> encoder) {
  write_file(dir / "red.bmp", plain_bmp({255, 0, 0}));
  write_file(dir / "blue.bmp", plain_bmp({0, 0, 255}));
  Catalog catalog = Catalog::create(dir / "shop", create_options(std::move(encoder)));
  fill(catalog, 0, 600);
  vsearch::Item shirt = file_item("shirt \"röd\"", dir / "red.bmp",
                                  R"({"name":"Ä\n\"x\"","price":0.1,"tags":["a",{"b":null}]})");
  shirt.pictures[0].role = "front";
  shirt.pictures[0].crop = {0.1F, 0, 0.7F, 1};
  shirt.pictures.emplace_back();
  shirt.pictures[1].path = (dir / "blue.bmp").string();
  REQUIRE(catalog.add({&shirt, 1}).failures.empty());
  return catalog;
}

}  // namespace

TEST_CASE("what is exported is imported as it was, without an encoder") {
  TempDir dir;
  const auto encoder = std::make_shared<CountingEncoder>();
  Catalog catalog = make_shop(dir, encoder);
  const ExportReport exported = catalog.export_to(dir / "out");
  CHECK(exported.items == 601);
  CHECK(exported.pictures == 602);
  CHECK(lines_of(dir / "out/items.jsonl").size() == 601);
  const vsearch::VectorFile file(dir / "out/embeddings.npy");
  CHECK(file.rows() == 602);
  CHECK(file.dim() == kDim);
  std::vector<float> row(kDim);
  file.read(0, row);
  CHECK(row == random_vector(0));  // as they were given: bit for bit

  const auto other = std::make_shared<CountingEncoder>();
  Catalog copy = Catalog::create(dir / "copy", create_options(other));
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  const AddReport report = copy.import_from(dir / "out", [&](std::uint64_t now, std::uint64_t of) {
    done = now;
    total = of;
    return true;
  });
  CHECK(report.added == 601);
  CHECK(report.replaced == 0);
  CHECK(report.encoded == 0);
  CHECK(report.failures.empty());
  CHECK(done == 601);
  CHECK(total == 601);
  check_same(catalog, copy);
  CHECK(copy.check().faults.empty());
  for (const std::uint64_t i : {0, 17, 599}) {
    const auto vector = random_vector(i);
    CHECK(vsearch::Searcher(copy).search(vsearch::Query::vector(vector)).front().key ==
          std::to_string(i));
  }
  // The pictures are known by their content: nothing is encoded.
  vsearch::Item again = file_item("shirt 2", dir / "blue.bmp");
  CHECK(copy.add({&again, 1}).failures.empty());
  CHECK(other->encoded == 0);
  // And once more is the same.
  const std::vector<std::string> key{"shirt 2"};
  copy.remove(key);
  CHECK(copy.import_from(dir / "out").replaced == 601);
  copy.export_to(dir / "out 2");
  for (const char* name : {"items.jsonl", "embeddings.npy", "manifest.json"}) {
    CHECK(read_file(dir / "out" / name) == read_file(dir / "out 2" / name));
  }
}

TEST_CASE("a sync after an import encodes nothing") {
  TempDir dir;
  fs::create_directory(dir / "pictures");
  write_file(dir / "pictures/red.bmp", plain_bmp({255, 0, 0}));
  write_file(dir / "pictures/blue.bmp", plain_bmp({0, 0, 255}));
  vsearch::FilesSource source;
  source.paths = {dir / "pictures"};
  Catalog catalog = create_catalog(dir / "shop");
  CHECK(catalog.sync(source).encoded == 2);
  catalog.export_to(dir / "out");
  const auto encoder = std::make_shared<CountingEncoder>();
  Catalog copy = Catalog::create(dir / "copy", create_options(encoder));
  copy.import_from(dir / "out");
  copy.sync(source);
  CHECK(encoder->encoded == 0);
  CHECK(copy.info().items == 2);
}

TEST_CASE("an empty catalogue can be exported and imported") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  CHECK(catalog.export_to(dir / "out").items == 0);
  CHECK(fs::file_size(dir / "out/embeddings.npy") == 128);
  CHECK(catalog.import_from(dir / "out").added == 0);
}

TEST_CASE("an export beside a writer has whole items") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 1000);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> written = 1000;
  std::thread writer([&] {
    while (!stop) {
      add_embedded(catalog, std::to_string(written), written);
      const std::vector<std::string> gone{std::to_string(written - 500)};
      catalog.remove(gone);
      ++written;
    }
  });
  const std::uint64_t before = written;
  catalog.export_to(dir / "out", [&](std::uint64_t, std::uint64_t) {
    while (written < before + 3) std::this_thread::yield();
    return true;
  });
  stop = true;
  writer.join();
  Catalog copy = create_catalog(dir / "copy");
  copy.import_from(dir / "out");
  CHECK(copy.check().faults.empty());
  for (const std::string& key : copy.keys()) {
    const auto vector = random_vector(std::stoull(key));
    CHECK(vsearch::Searcher(copy).search(vsearch::Query::vector(vector)).front().key == key);
  }
}

TEST_CASE("an export that is damaged is refused, and nothing is changed") {
  TempDir dir;
  Catalog catalog = make_shop(dir, std::make_shared<FakeEncoder>());
  catalog.export_to(dir / "out");
  const fs::path manifest = dir / "out/manifest.json";
  const fs::path items = dir / "out/items.jsonl";
  const fs::path embeddings = dir / "out/embeddings.npy";
  std::vector<std::string> lines = lines_of(items);
  std::vector<std::byte> numbers = read_file(embeddings);
  const auto line = [&](std::size_t number, const std::function<void(json&)>& change) {
    lines[number] = with(lines[number], change);
    write_lines(items, lines);
  };
  const auto picture = [&](const std::function<void(json&)>& change) {
    line(600, [&](json& item) { change(item["pictures"][0]); });
  };
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string expected;
  SECTION("no such folder") {
    fs::remove_all(dir / "out");
    code = ErrorCode::kFileNotFound;
    expected = "manifest.json: it is not there; import a folder that was exported";
  }
  SECTION("no manifest") {
    fs::remove(manifest);
    code = ErrorCode::kFileNotFound;
    expected = "manifest.json: it is not there";
  }
  SECTION("no items") {
    fs::remove(items);
    code = ErrorCode::kFileNotFound;
    expected = "items.jsonl: it is not there";
  }
  SECTION("no embeddings") {
    fs::remove(embeddings);
    code = ErrorCode::kFileNotFound;
    expected = "embeddings.npy: it is not there";
  }
  SECTION("a manifest that is no JSON") {
    write_text(manifest, "{");
    expected = "manifest.json is damaged: ";
  }
  SECTION("a manifest of something else") {
    write_text(manifest, R"({"format":"x"})");
    expected = "manifest.json is not of an exported catalogue";
  }
  SECTION("a manifest of a newer version") {
    write_text(manifest, with(text_of(manifest), [](json& object) { object["version"] = 2; }));
    expected = "the export is of version 2, and this libvsearch reads 1; use a newer one";
  }
  SECTION("a manifest without numbers") {
    write_text(manifest, with(text_of(manifest), [](json& object) { object["items"] = "many"; }));
    expected = "its items is no whole number";
  }
  SECTION("another encoder") {
    write_text(manifest, with(text_of(manifest), [](json& object) {
                 object["encoder_fingerprint"] = std::string(64, 'e');
               }));
    code = ErrorCode::kEncoderMismatch;
    expected = "embeddings of the encoder fake-grid (fingerprint eeee";
  }
  SECTION("embeddings that are cut off") {
    numbers.resize(numbers.size() - 5);
    write_file(embeddings, numbers);
    expected = "embeddings.npy";
  }
  SECTION("embeddings that are none") {
    write_file(embeddings, {});
    expected = "it is no .npy file";
  }
  SECTION("embeddings of another export") {
    Catalog other = create_catalog(dir / "other");
    fill(other, 0, 5);
    other.export_to(dir / "other out");
    fs::copy_file(dir / "other out/embeddings.npy", embeddings,
                  fs::copy_options::overwrite_existing);
    expected = "has 5 rows of 48 numbers, and should have 602 of 48";
  }
  SECTION("an embedding that is all zeros") {
    std::fill_n(numbers.begin() + 128 + 3 * kDim * 4, kDim * 4, std::byte{0});
    write_file(embeddings, numbers);
    expected = "items.jsonl, line 4: row 3 of embeddings.npy";
  }
  SECTION("an embedding that is not finite") {
    std::fill_n(numbers.begin() + 128 + 3 * kDim * 4, 4, std::byte{0xFF});
    write_file(embeddings, numbers);
    expected = "items.jsonl, line 4: row 3 of embeddings.npy";
  }
  SECTION("a line that is no JSON") {
    lines[20] = "{\"key\":";
    write_lines(items, lines);
    expected = "items.jsonl, line 21: ";
  }
  SECTION("a line that is no object") {
    lines[20] = "[]";
    write_lines(items, lines);
    expected = "line 21: it is no JSON object";
  }
  SECTION("a line that is not UTF-8") {
    lines[20] = "{\"key\":\"\xFF\",\"metadata\":{},\"pictures\":[{}]}";
    write_lines(items, lines);
    expected = "line 21: ";
  }
  SECTION("a line that is nested without end") {
    lines[20] = R"({"key":"x","pictures":[{}],"metadata":)" + std::string(1'000'000, '[');
    write_lines(items, lines);
    expected = "line 21: it is nested too deeply";
  }
  SECTION("a line without a key") {
    line(20, [](json& item) { item.erase("key"); });
    expected = "line 21: ";
  }
  SECTION("a key that is none") {
    line(20, [](json& item) { item["key"] = "a\nb"; });
    expected = "line 21: the key has a control character";
  }
  SECTION("metadata that are no object") {
    line(20, [](json& item) { item["metadata"] = 3; });
    expected = "line 21: the metadata must be a JSON object";
  }
  SECTION("no pictures") {
    line(20, [](json& item) { item["pictures"] = json::array(); });
    expected = "line 21: the item has no picture";
  }
  SECTION("pictures that are no list") {
    line(20, [](json& item) { item["pictures"] = 3; });
    expected = "line 21: its pictures are no list";
  }
  SECTION("a picture that is none") {
    line(20, [](json& item) { item["pictures"] = {3}; });
    expected = "line 21: a picture is no JSON object";
  }
  SECTION("a hash that is none") {
    picture([](json& object) { object["content_hash"] = "12"; });
    expected = "line 601: a picture's content_hash is not 64 hexadecimal digits";
  }
  SECTION("a crop that is none") {
    picture([](json& object) { object["crop"] = {0.5, 0, 0.2, 1}; });
    expected = "line 601: the crop 0.5 0 0.2 1 is no part of a picture";
  }
  SECTION("a crop of three numbers") {
    picture([](json& object) { object["crop"] = {0.5, 0, 1}; });
    expected = "line 601: a picture's crop is not 4 numbers";
  }
  SECTION("a role that is none") {
    picture([](json& object) { object["role"] = std::string(300, 'r'); });
    expected = "line 601: the role of a picture must be";
  }
  SECTION("a time that is none") {
    picture([](json& object) { object["file_mtime_ns"] = 1e300; });
    expected = "line 601: its file_mtime_ns is no whole number";
  }
  SECTION("a line too few") {
    lines.pop_back();
    write_lines(items, lines);
    expected = "ends after 600 items with 600 embeddings, and should have 601 with 602";
  }
  SECTION("a line too many") {
    lines.push_back(lines.back());
    write_lines(items, lines);
    expected = "line 602: its pictures need more than the 602 rows";
  }
  Catalog copy = create_catalog(dir / "copy");
  add_embedded(copy, "before", 1);
  CHECK_ERROR(copy.import_from(dir / "out"), code, expected);
  CHECK(copy.keys() == std::vector<std::string>{"before"});
  CHECK(copy.check().faults.empty());
}

TEST_CASE("files that are dated before 1970 are exported and imported") {
  TempDir dir;
  write_file(dir / "old.bmp", plain_bmp({1, 2, 3}));
  const auto before_1970 = std::chrono::sys_seconds(std::chrono::seconds(-100'000));
  fs::last_write_time(dir / "old.bmp", std::chrono::file_clock::from_sys(before_1970));
  Catalog catalog = create_catalog(dir / "shop");
  const vsearch::Item old = file_item("old", dir / "old.bmp");
  REQUIRE(catalog.add({&old, 1}).failures.empty());
  catalog.export_to(dir / "out");
  Catalog copy = create_catalog(dir / "copy");
  copy.import_from(dir / "out");
  CHECK(copy.keys() == std::vector<std::string>{"old"});
}

TEST_CASE("of a key that stands twice in an import the last item counts") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 3);
  catalog.export_to(dir / "out");
  auto lines = lines_of(dir / "out/items.jsonl");
  lines[2] = with(lines[2], [](json& item) {
    item["key"] = "0";
    item["metadata"] = {{"last", true}};
  });
  write_lines(dir / "out/items.jsonl", lines);
  Catalog copy = create_catalog(dir / "copy");
  copy.import_from(dir / "out");
  CHECK(copy.keys() == std::vector<std::string>{"0", "1"});
  CHECK(copy.get("0")->metadata == R"({"last":true})");
  const auto vector = random_vector(2);
  CHECK(vsearch::Searcher(copy).search(vsearch::Query::vector(vector)).front().key == "0");
  CHECK(copy.check().faults.empty());
}

TEST_CASE("exports and imports can be cancelled") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  fill(catalog, 0, 2500);
  const auto none = [](std::uint64_t, std::uint64_t) { return false; };
  CHECK_ERROR(catalog.export_to(dir / "cut/short", none), ErrorCode::kCancelled, "cancelled");
  CHECK_FALSE(fs::exists(dir / "cut"));
  CHECK_ERROR(catalog.export_to(dir / "shop"), ErrorCode::kAlreadyExists, "shop exists already");
  catalog.export_to(dir / "out");
  Catalog copy = create_catalog(dir / "copy");
  CHECK_ERROR(copy.import_from(dir / "out", none), ErrorCode::kCancelled, "0 of 2500 items");
  CHECK(copy.keys().empty());
  CHECK_ERROR(
      copy.import_from(dir / "out", [](std::uint64_t done, std::uint64_t) { return done == 0; }),
      ErrorCode::kCancelled, "1000 of 2500 items are done and stay");
  CHECK(copy.keys().size() == 1000);
  const AddReport report = copy.import_from(dir / "out");
  CHECK(report.added == 1500);
  CHECK(report.replaced == 1000);
  check_items(copy, 2500);
}

TEST_CASE("an export for which there is no room leaves nothing") {
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
    limit.rlim_cur = 100'000;
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto error = error_of([&] { catalog.export_to(dir / "out"); });
    if (!error || error->code() != ErrorCode::kIo) _exit(10);
    if (std::string(error->what()).find("embeddings.npy") == std::string::npos) _exit(11);
    if (std::distance(fs::directory_iterator(dir.path()), {}) != 1) _exit(12);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (catalog.export_to(dir / "out").items != 1000) _exit(13);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

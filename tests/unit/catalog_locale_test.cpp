// A host whose locale writes 1.234,5 changes nothing in what a catalogue keeps and finds.
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <locale>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "support/bmp.h"
#include "support/catalogs.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::Filter;
using vsearch::Hit;
using vsearch::Item;
using vsearch::MetadataPatch;
using vsearch::Query;
using vsearch::QueryOptions;
using vsearch::Searcher;

namespace {

namespace fs = std::filesystem;

class Commas : public std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

// While it lives, C and C++ write numbers with commas.
class CommaLocale {
 public:
  CommaLocale() : before_cpp_(std::locale::global(std::locale::classic())) {
    if (!set("de_DE.UTF-8") && !set("de_DE.utf8")) {
      // Not installed: made here, where its sources are.
      setenv("LOCPATH", folder_.path().c_str(), 1);
      const std::string make =
          "localedef -i de_DE -f UTF-8 '" + (folder_ / "de_DE.UTF-8").string() + "' 2>/dev/null";
      if (std::system(make.c_str()) != 0 || !set("de_DE.UTF-8")) c_has_commas_ = false;
    }
    // Without a name, so that it leaves C's alone.
    std::locale::global(std::locale(std::locale::classic(), new Commas));
  }
  ~CommaLocale() {
    std::locale::global(before_cpp_);
    std::setlocale(LC_ALL, "C");
    unsetenv("LOCPATH");
  }
  CommaLocale(const CommaLocale&) = delete;
  CommaLocale& operator=(const CommaLocale&) = delete;

  // False on a system that has no such locale and cannot make one: then only C++ writes commas.
  bool c_has_commas() const { return c_has_commas_; }

 private:
  static bool set(const char* name) { return std::setlocale(LC_ALL, name) != nullptr; }

  const TempDir folder_;
  const std::locale before_cpp_;
  bool c_has_commas_ = true;
};

std::string printed(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", number);
  return text;
}

// Thousands and fractions wherever a catalogue has numbers.
void fill_shop(Catalog& catalog, const fs::path& picture) {
  std::vector<std::vector<float>> vectors;
  std::vector<Item> items;
  for (std::uint64_t i = 0; i < 1200; ++i) vectors.push_back(random_vector(i));
  for (std::uint64_t i = 0; i < vectors.size(); ++i) {
    items.push_back(embedded_item(std::to_string(i), vectors[i],
                                  R"({"price":)" + std::to_string(i) + R"(.25,"weight":1.5e-7})"));
  }
  items.push_back(file_item("picture", picture, R"({"price":12345.678,"stock":1234567})"));
  REQUIRE(catalog.add(items).failures.empty());
  const std::vector<MetadataPatch> patches{{"1100", R"({"discount":0.125,"price":1100.5})"}};
  REQUIRE(catalog.patch(patches).empty());
  const std::vector<std::string> removed{"1150"};
  REQUIRE(catalog.remove(removed).empty());
  catalog.save_snapshot();
}

// All that it says, without its path and the sizes of its files.
std::vector<std::string> everything(const Catalog& catalog, const fs::path& picture) {
  std::vector<std::string> result;
  for (const std::string& key : catalog.keys()) result.push_back(key + catalog.get(key)->metadata);
  const auto ids = [&](const Filter& filter) {
    for (const auto& found : catalog.pictures(catalog.match(filter).ids())) {
      result.push_back(found.key);
    }
  };
  for (const char* const expression :
       {"price = 1100.5", "price BETWEEN 1099.5 AND 1.1015e3", "weight < 2.5e-7 AND price > 1190.1",
        "price IN (12345.678, 3.25)", "stock >= 1234567", "discount != 0.25 AND price < 1150.75"}) {
    result.emplace_back(expression);
    ids(Filter::parse(expression));
  }
  ids(Filter::from_json(R"({"price":{"between":[1099.5,1101.5]},"weight":{"<":0.5}})"));
  const Searcher searcher(catalog);
  QueryOptions exactly;  // graphs that several threads build differ from one time to the next
  exactly.exact = true;
  QueryOptions options = exactly;
  options.where = Filter::parse("price > 1000.5");
  const auto hits = [&](const std::vector<Hit>& found) {
    for (const Hit& hit : found) result.push_back(hit.key + " " + hit.metadata);
  };
  const std::vector<float> asked = random_vector(1100);
  hits(searcher.search(Query::vector(asked), options));
  hits(searcher.search(Query::file(picture), exactly));
  hits(searcher.search(Query::like("7"), options));
  return result;
}

Catalog open_with_encoder(const fs::path& path, Log& log) {
  vsearch::CatalogOptions options;
  options.encoder = std::make_shared<FakeEncoder>();
  options.log = log.callback();
  return Catalog::open(path, options);
}

void check_same(const std::vector<std::string>& said, const std::vector<std::string>& expected) {
  REQUIRE(said.size() == expected.size());
  for (std::size_t i = 0; i < said.size(); ++i) CHECK(said[i] == expected[i]);
}

}  // namespace

TEST_CASE("a locale with decimal commas changes nothing") {
  TempDir dir;
  const fs::path picture = dir / "picture.bmp";
  write_file(picture, plain_bmp({200, 100, 50}));
  std::vector<std::string> expected;
  {
    Catalog catalog = create_catalog(dir / "points");
    fill_shop(catalog, picture);
    expected = everything(catalog, picture);
  }
  REQUIRE(expected.size() > 1210);
  {
    const CommaLocale commas;
    std::ostringstream stream;
    stream << 1234.5;
    REQUIRE(stream.str() == "1.234,5");
    if (commas.c_has_commas()) REQUIRE(printed(0.5) == "0,5");
    {
      Catalog catalog = create_catalog(dir / "commas");
      fill_shop(catalog, picture);
      check_same(everything(catalog, picture), expected);
    }
    Log log;  // a snapshot that did not fit would be in it
    check_same(everything(open_with_encoder(dir / "points", log), picture), expected);
    check_same(everything(open_with_encoder(dir / "commas", log), picture), expected);
    CHECK(log.text().empty());
  }
  REQUIRE(printed(0.5) == "0.5");
  Log log;
  check_same(everything(open_with_encoder(dir / "commas", log), picture), expected);
  CHECK(log.text().empty());
}

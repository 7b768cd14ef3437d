// Declared fields of a catalogue: their values are checked, and filters follow every change.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "support/catalogs.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Catalog;
using vsearch::ErrorCode;
using vsearch::Field;
using vsearch::FieldType;
using vsearch::Filter;

namespace {

// The keys of the items that match, by the pictures that match().
std::vector<std::string> matching(const Catalog& catalog, const char* expression) {
  const auto ids = catalog.match(Filter::parse(expression)).ids();
  std::vector<std::string> keys;
  for (const auto& picture : catalog.pictures(ids)) keys.push_back(picture.key);
  return keys;
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("a declared field follows adds, replacements, patches and removals") {
  TempDir dir;
  const std::filesystem::path shop = dir / "shop";
  {
    Catalog catalog = create_catalog(shop);
    add_embedded(catalog, "a", 1, R"({"price": 10, "tags": ["new"], "about": {"maker": "x"}})");
    add_embedded(catalog, "b", 2, R"({"price": 20.5, "tags": []})");
    catalog.declare_field({"price", FieldType::kNumber});  // of what is there
    catalog.declare_field({"tags", FieldType::kTags});
    catalog.declare_field({"about.maker", FieldType::kText});
    catalog.declare_field({"price", FieldType::kNumber});  // again: nothing
    add_embedded(catalog, "c", 3, R"({"price": 30, "tags": ["new", "red"]})");
    add_embedded(catalog, "d", 4);
    CHECK(matching(catalog, "price >= 20") == Keys{"b", "c"});
    CHECK(matching(catalog, "tags HAS 'new'") == Keys{"a", "c"});
    CHECK(matching(catalog, "about.maker = 'x'") == Keys{"a"});
    CHECK(matching(catalog, "price IS NULL") == Keys{"d"});
    CHECK(matching(catalog, "NOT price > 10") == Keys{"a", "d"});
    CHECK(matching(catalog, "price > 5 AND colour IS NULL") == Keys{"a", "b", "c"});

    add_embedded(catalog, "a", 5, R"({"price": 40})");  // replaced
    CHECK(matching(catalog, "price = 10").empty());
    CHECK(matching(catalog, "price = 40") == Keys{"a"});
    CHECK(matching(catalog, "about.maker = 'x'").empty());
    const std::vector<vsearch::MetadataPatch> patches{
        {"b", R"({"price": 41})"}, {"d", R"({"tags": ["red"]})"}, {"c", R"({"price": null})"}};
    CHECK(catalog.patch(patches).empty());
    CHECK(matching(catalog, "price > 20") == Keys{"b", "a"});
    CHECK(matching(catalog, "tags HAS 'red'") == Keys{"c", "d"});
    const Keys gone{"a"};
    catalog.remove(gone);
    CHECK(matching(catalog, "price > 0") == Keys{"b"});
  }
  Catalog catalog = Catalog::open(shop);
  CHECK(catalog.fields() == std::vector<Field>{{"about.maker", FieldType::kText},
                                               {"price", FieldType::kNumber},
                                               {"tags", FieldType::kTags}});
  CHECK(matching(catalog, "price > 0") == Keys{"b"});
  catalog.drop_field("price");
  CHECK(catalog.fields().size() == 2);
  CHECK(matching(catalog, "price > 0") == Keys{"b"});  // by the metadata
  CHECK(catalog.check().faults.empty());
}

TEST_CASE("values of another type than declared are refused") {
  TempDir dir;
  Catalog catalog = create_catalog(dir / "shop");
  add_embedded(catalog, "a", 1, R"({"price": "cheap"})");
  CHECK_ERROR(catalog.declare_field({"price", FieldType::kNumber}), ErrorCode::kInvalidArgument,
              "a");
  CHECK(catalog.fields().empty());
  catalog.declare_field({"price", FieldType::kText});
  CHECK_ERROR(catalog.declare_field({"price", FieldType::kNumber}), ErrorCode::kInvalidArgument,
              "price");
  CHECK_ERROR(catalog.declare_field({"a\"b", FieldType::kText}), ErrorCode::kInvalidArgument, "");
  CHECK_ERROR(catalog.drop_field("colour"), ErrorCode::kKeyNotFound, "colour");

  const auto vector = random_vector(2);
  const vsearch::Item item = embedded_item("b", vector, R"({"price": 7})");
  const auto report = catalog.add({&item, 1});
  REQUIRE(report.failures.size() == 1);
  CHECK(report.failures[0].key == "b");
  CHECK(report.failures[0].code == ErrorCode::kInvalidArgument);
  CHECK_THAT(report.failures[0].message, Catch::Contains("price"));
  CHECK(catalog.info().items == 1);
  const vsearch::MetadataPatch patch{"a", R"({"price": true})"};
  CHECK_ERROR(catalog.patch({&patch, 1}), ErrorCode::kInvalidArgument, "item a: ");
  CHECK(catalog.get("a")->metadata == R"({"price":"cheap"})");
}

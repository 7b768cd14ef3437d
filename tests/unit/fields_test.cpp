#include "catalog/fields.h"

#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/catalogs.h"
#include "support/shelf.h"

using vsearch::ErrorCode;
using vsearch::Field;
using vsearch::FieldType;
using vsearch::Id;
using vsearch_test::Shelf;

namespace {

std::vector<Field> declared(Shelf& shelf) {
  std::vector<Field> result;
  const auto fields = shelf.fields().declared();
  for (const auto& field : *fields) result.push_back(field.field);
  return result;
}

}  // namespace

TEST_CASE("types of fields have names") {
  for (const FieldType type :
       {FieldType::kText, FieldType::kNumber, FieldType::kBoolean, FieldType::kTags}) {
    CHECK(vsearch::find_field_type(vsearch::field_type_name(type)) == type);
  }
  CHECK(vsearch::field_type_name(FieldType::kTags) == "tags");
  CHECK(vsearch::find_field_type("Text") == std::nullopt);
  CHECK(vsearch::find_field_type("") == std::nullopt);
}

TEST_CASE("a declared field has the values of all items, old and new") {
  Shelf shelf;
  shelf.add(R"({"colour":"red","price":10,"stock":true,"tags":["b","a","b"]})", 2);
  shelf.add(R"({"colour":null,"price":0.5,"tags":[]})");
  CHECK(shelf.rows().empty());
  CHECK(shelf.declare("colour", FieldType::kText));
  CHECK(shelf.declare("price", FieldType::kNumber));
  CHECK(shelf.declare("stock", FieldType::kBoolean));
  CHECK(shelf.declare("tags", FieldType::kTags));
  const std::string old_rows =
      "colour|'red'|1\ncolour|'red'|2\n"
      "price|0.5|3\nprice|10|1\nprice|10|2\n"
      "stock|1|1\nstock|1|2\n"
      "tags|0|3\ntags|'a'|1\ntags|'a'|2\ntags|'b'|1\ntags|'b'|2\n";
  CHECK(shelf.rows() == old_rows);
  shelf.add(R"({"colour":"red","price":10,"stock":true,"tags":["b","a","b"]})");
  shelf.add(R"({"colour":null,"price":0.5,"tags":[]})");
  CHECK(shelf.rows() ==
        "colour|'red'|1\ncolour|'red'|2\ncolour|'red'|4\n"
        "price|0.5|3\nprice|0.5|5\nprice|10|1\nprice|10|2\nprice|10|4\n"
        "stock|1|1\nstock|1|2\nstock|1|4\n"
        "tags|0|3\ntags|0|5\ntags|'a'|1\ntags|'a'|2\ntags|'a'|4\ntags|'b'|1\ntags|'b'|2\n"
        "tags|'b'|4\n");
  shelf.remove(4);
  shelf.remove(3);
  CHECK(shelf.rows() == old_rows);
  CHECK(declared(shelf) == std::vector<Field>{{"colour", FieldType::kText},
                                              {"price", FieldType::kNumber},
                                              {"stock", FieldType::kBoolean},
                                              {"tags", FieldType::kTags}});
}

TEST_CASE("numbers are indexed as SQLite reads them in the metadata") {
  const std::array<std::string, 6> numbers{"9007199254740993",        "-9223372036854775808",
                                           "18446744073709551615",    "0.30000000000000004",
                                           "1.7976931348623157e+308", "4.9406564584124654e-324"};
  Shelf before;
  Shelf after;
  after.declare("n", FieldType::kNumber);
  for (const std::string& number : numbers) {
    before.add(R"({"n":)" + number + "}");
    after.add(R"({"n":)" + number + "}");
  }
  before.declare("n", FieldType::kNumber);
  CHECK(before.rows() == after.rows());
  CHECK_THAT(after.rows(), Catch::Contains("n|9007199254740993|1"));
  for (std::int64_t item = 1; item <= 6; ++item) after.remove(item);
  CHECK(after.rows().empty());
}

TEST_CASE("a change of metadata changes what differs") {
  Shelf shelf;
  shelf.declare("size.w", FieldType::kNumber);
  shelf.declare("tags", FieldType::kTags);
  const std::int64_t item = shelf.add(R"({"size":{"w":3},"tags":["a","b"],"note":1})", 2);
  shelf.patch(item, R"({"size":{"w":3.5},"tags":["b","c"]})");
  CHECK(shelf.rows() ==
        "size.w|3.5|1\nsize.w|3.5|2\ntags|'b'|1\ntags|'b'|2\ntags|'c'|1\ntags|'c'|2\n");
  shelf.patch(item, R"({"size":3,"tags":["b"]})");
  CHECK(shelf.rows() == "tags|'b'|1\ntags|'b'|2\n");
  shelf.patch(item, R"({"tags":null})");
  CHECK(shelf.rows().empty());
  shelf.patch(item, R"({"size":{"w":1},"tags":[]})");
  CHECK(shelf.rows() == "size.w|1|1\nsize.w|1|2\ntags|0|1\ntags|0|2\n");
}

TEST_CASE("a value of another type is refused") {
  Shelf shelf;
  shelf.declare("price", FieldType::kNumber);
  shelf.declare("tags", FieldType::kTags);
  shelf.declare("stock", FieldType::kBoolean);
  shelf.declare("colour", FieldType::kText);
  const std::int64_t item = shelf.add(R"({"price":1})");
  const std::vector<std::pair<std::string, std::string>> wrong{
      {R"({"price":"10"})",
       "field price is declared as number and takes a number, but the "
       "metadata have \"10\""},
      {R"({"price":true})", "price"},
      {R"({"price":[1]})", "price"},
      {R"({"tags":"new"})", "field tags is declared as tags and takes an array of texts"},
      {R"({"tags":["new",1]})", "have [\"new\",1]"},
      {R"({"tags":[null]})", "tags"},
      {R"({"stock":1})", "field stock is declared as boolean and takes true or false"},
      {R"({"colour":{"r":1}})", "field colour is declared as text and takes a text"},
  };
  for (const auto& [metadata, message] : wrong) {
    CAPTURE(metadata);
    CHECK_ERROR(shelf.fields().check(metadata), ErrorCode::kInvalidArgument, message);
    CHECK_ERROR(shelf.add(metadata), ErrorCode::kInvalidArgument, message);
    CHECK_ERROR(shelf.patch(item, metadata), ErrorCode::kInvalidArgument, message);
  }
  CHECK_NOTHROW(shelf.fields().check(R"({"price":null,"other":"10"})"));
  CHECK(shelf.rows() == "price|1|1\n");
}

TEST_CASE("without declared fields metadata are not even read") {
  Shelf shelf;
  CHECK_NOTHROW(shelf.fields().check("no JSON"));
  const std::array<Id, 1> picture{1};
  CHECK_NOTHROW(shelf.fields().insert(picture, "no JSON"));
}

TEST_CASE("a field that items contradict is not declared") {
  Shelf shelf;
  shelf.add(R"({"price":1,"tags":["a"]})");
  shelf.add(R"({"price":"cheap","tags":["a",1]})");
  shelf.add(R"({"price":[],"tags":"a"})");
  CHECK_ERROR(shelf.declare("price", FieldType::kNumber), ErrorCode::kInvalidArgument,
              "the field price cannot be declared as number: 2 of the items have something else "
              "than a number there, the first of them item-2, which has \"cheap\"");
  CHECK_ERROR(shelf.declare("tags", FieldType::kTags), ErrorCode::kInvalidArgument,
              "2 of the items have something else than an array of texts there, the first of them "
              "item-2, which has [\"a\",1]");
  CHECK_ERROR(shelf.declare("price", FieldType::kBoolean), ErrorCode::kInvalidArgument,
              "3 of the items");
  CHECK(declared(shelf).empty());
  CHECK(shelf.rows().empty());
  // Nothing of the attempt is left: the same works once the items are right.
  shelf.patch(2, R"({"price":2})");
  shelf.remove(3);
  CHECK(shelf.declare("price", FieldType::kNumber));
  CHECK(shelf.rows() == "price|1|1\nprice|2|2\n");
}

TEST_CASE("a field is declared once, under one name") {
  Shelf shelf;
  CHECK(shelf.declare("size.w", FieldType::kNumber));
  CHECK_FALSE(shelf.declare("size.w", FieldType::kNumber));
  CHECK_FALSE(shelf.declare("\"size\".\"w\"", FieldType::kNumber));
  CHECK(shelf.declare("\"size.w\"", FieldType::kText));
  CHECK(shelf.declare("\"unit price\"", FieldType::kNumber));
  CHECK_FALSE(shelf.declare("unit price", FieldType::kNumber));
  CHECK_ERROR(shelf.declare("size.w", FieldType::kText), ErrorCode::kInvalidArgument,
              "the field size.w is declared as number already; drop it");
  CHECK(declared(shelf) == std::vector<Field>{{"\"size.w\"", FieldType::kText},
                                              {"size.w", FieldType::kNumber},
                                              {"unit price", FieldType::kNumber}});
  CHECK(shelf.drop("unit price"));
  CHECK_FALSE(shelf.drop("unit price"));
  CHECK(shelf.drop("size.w"));
  CHECK(shelf.declare("size.w", FieldType::kText));
}

TEST_CASE("names that no filter can have are refused") {
  Shelf shelf;
  for (const std::string& name :
       {std::string(), std::string("."), std::string("a..b"), std::string("a\"b"),
        std::string("\"a"), std::string("\"a\"b"), std::string("a\\b"), std::string("a\nb"),
        std::string("a\0b", 3), std::string("\xFF"), std::string(1025, 'x')}) {
    CAPTURE(name);
    CHECK_ERROR(shelf.declare(name, FieldType::kText), ErrorCode::kInvalidArgument, "the field ");
  }
  CHECK_ERROR(shelf.declare("a", static_cast<FieldType>(9)), ErrorCode::kInvalidArgument,
              "no such type");
  CHECK(declared(shelf).empty());
}

TEST_CASE("dropping a field takes its index along and no other") {
  Shelf shelf;
  shelf.declare("a", FieldType::kNumber);
  shelf.declare("b", FieldType::kNumber);
  shelf.add(R"({"a":1,"b":2})");
  CHECK(shelf.drop("a"));
  CHECK(shelf.rows() == "b|2|1\n");
  CHECK_NOTHROW(shelf.add(R"({"a":"any","b":3})"));
  CHECK(shelf.rows() == "b|2|1\nb|3|2\n");
}

TEST_CASE("what is rolled back is forgotten") {
  Shelf shelf;
  shelf.declare("a", FieldType::kNumber);
  shelf.add(R"({"a":1})");
  auto& fields = shelf.fields();
  const vsearch::db::DeclaredField field = *fields.current()->begin();
  REQUIRE(fields.pictures().ids() == std::vector<Id>{1});
  REQUIRE(fields.pictures_with(field).ids() == std::vector<Id>{1});
  {
    vsearch::db::Transaction rolled_back(shelf.database());
    fields.declare({"b", FieldType::kNumber});
    fields.drop("a");
    const std::array<Id, 1> second{2};
    fields.insert(second, R"({"b":2})");
    const std::array<Id, 1> first{1};
    fields.erase(first, R"({"a":1})");
  }
  CHECK(fields.current()->begin()->field == Field{"a", FieldType::kNumber});
  CHECK(fields.pictures().ids() == std::vector<Id>{1});
  CHECK(fields.pictures_with(field).ids() == std::vector<Id>{1});
  {
    vsearch::db::Transaction rolled_back(shelf.database());
    const std::array<Id, 1> second{2};
    fields.insert(second, R"({"a":2})");
    CHECK(fields.pictures_with(field).size() == 2);
  }
  CHECK(fields.pictures_with(field).ids() == std::vector<Id>{1});
  CHECK(shelf.rows() == "a|1|1\n");
}

TEST_CASE("an item whose metadata are damaged can still go") {
  Shelf shelf;
  shelf.declare("a", FieldType::kNumber);
  shelf.add(R"({"a":1})", 2);
  shelf.add(R"({"a":1})");
  const std::array<Id, 1> first{1};
  shelf.fields().erase(first, R"({"a":1)");
  CHECK(shelf.rows() == "a|1|2\na|1|3\n");
  const std::array<Id, 1> second{2};
  shelf.fields().update(second, R"({"a":"?"})", R"({"a":5})");
  CHECK(shelf.rows() == "a|1|3\na|5|2\n");
}

TEST_CASE("a table of fields that makes no sense is damage") {
  Shelf shelf;
  shelf.database().execute("INSERT INTO fields (name, type) VALUES ('a..b', 'text')");
  CHECK_ERROR(shelf.fields().load(), ErrorCode::kCorrupt, "declared field a..b makes no sense");
  CHECK_ERROR(shelf.add("{}"), ErrorCode::kCorrupt, "makes no sense");
  shelf.database().execute("DELETE FROM fields");
  CHECK_NOTHROW(shelf.add("{}"));
}

TEST_CASE("metadata are checked beside changes of what is declared") {
  Shelf shelf;
  std::atomic<bool> done = false;
  std::thread checker([&] {
    while (!done) {
      shelf.fields().check(R"({"a":1})");
      (void)shelf.fields().declared()->empty();
    }
  });
  for (int i = 0; i < 200; ++i) {
    shelf.declare("a", FieldType::kNumber);
    shelf.drop("a");
  }
  done = true;
  checker.join();
  CHECK(declared(shelf).empty());
}

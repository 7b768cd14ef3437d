#include "vsearch/filter.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "catalog/filter_sql.h"
#include "catalog/sqlite.h"
#include "vsearch/error.h"

using vsearch::Error;
using vsearch::ErrorCode;
using vsearch::Filter;

namespace {

// Metadata in a real database, and which of them a filter finds.
class Shelf {
 public:
  explicit Shelf(const std::vector<std::string>& metadata)
      : database_(":memory:", vsearch::db::Database::Mode::kCreate) {
    database_.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, metadata TEXT NOT NULL)");
    for (const std::string& row : metadata) {
      const std::string normalised = nlohmann::json::parse(row).dump();
      database_.run("INSERT INTO items (metadata) VALUES (?1)", std::string_view(normalised));
    }
  }

  // One digit per row: 1 if it matches.
  std::string match(const Filter& filter) {
    const auto compiled = vsearch::detail::filter_to_sql(filter.root());
    auto query = database_.query_once("SELECT " + compiled.where + " FROM items ORDER BY id");
    for (const auto& parameter : compiled.parameters) {
      std::visit([&](const auto& value) { query.bind(value); }, parameter);
    }
    std::string result;
    while (query.step()) result += query.is_null(0) ? "?" : std::to_string(query.integer(0));
    return result;
  }
  std::string match(const std::string& expression) { return match(Filter::parse(expression)); }
  std::string match_json(const std::string& json) { return match(Filter::from_json(json)); }

  std::int64_t rows() {
    auto query = database_.query("SELECT count(*) FROM items");
    query.step();
    return query.integer(0);
  }

 private:
  vsearch::db::Database database_;
};

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::kInvalidArgument);
    return e.what();
  }
  FAIL("no error");
  return {};
}
std::string parse_error(const std::string& expression) {
  return message_of([&] { Filter::parse(expression); });
}
std::string json_error(const std::string& json) {
  return message_of([&] { Filter::from_json(json); });
}

const std::vector<std::string> kProducts{
    /* 0 */ R"({"colour":"red","price":10,"tags":["new","sale"],"stock":true})",
    /* 1 */ R"({"colour":"blue","price":49.5,"tags":[],"stock":false,"size":{"w":3,"h":"x"}})",
    /* 2 */ R"({"colour":"Red","price":"10","tags":"new","unit price":1.25})",
    /* 3 */ R"({"colour":null,"price":-3,"tags":[1,2.5,true,null,["new"]],"size":{"w":7}})",
    /* 4 */ R"({"price":1e3,"title":"100% Cotton_Shirt","a.b":1,"größe":"ä"})",
    /* 5 */ R"({})",
};

}  // namespace

TEST_CASE("every operator gives its truth table") {
  Shelf shelf(kProducts);
  const std::vector<std::pair<std::string, std::string>> cases{
      {"colour = 'red'", "100000"},
      {"colour != 'red'", "011000"},  // missing, null and other types: false
      {"NOT colour = 'red'", "011111"},
      {"NOT (colour != 'red')", "100111"},
      {"price = 10", "100000"},
      {"price = 10.0", "100000"},
      {"price = '10'", "001000"},
      {"price != 10", "010110"},
      {"price < 10", "000100"},
      {"price <= 10", "100100"},
      {"price > 10", "010010"},
      {"price >= 49.5", "010010"},
      {"price >= 1000", "000010"},
      {"price > -3", "110010"},
      {"price = -3", "000100"},
      {"price < 'a'", "001000"},
      {"colour < 'blve'", "011000"},  // by bytes: capitals first
      {"stock = true", "100000"},
      {"stock = FALSE", "010000"},
      {"stock != true", "010000"},
      {"stock = 1", "000000"},
      {"price = true", "000000"},
      {"colour IN ('red', 'blue')", "110000"},
      {"colour NOT IN ('red', 'blue')", "001111"},
      {"price IN (10, 1000.0, '10', true)", "101010"},
      {"stock IN (true, false, 'x')", "110000"},
      {"price BETWEEN 10 AND 49.5", "110000"},
      {"price NOT BETWEEN 10 AND 49.5", "001111"},
      {"price BETWEEN 50 AND 10", "000000"},
      {"colour BETWEEN 'b' AND 'c'", "010000"},
      {"colour LIKE 'RED'", "101000"},
      {"colour LIKE '_e%'", "101000"},
      {"title LIKE '100\x25 cotton_shirt'", "000010"},
      {"title LIKE '%shirt'", "000010"},
      {"title LIKE '%shirt_'", "000000"},
      {"price LIKE '1%'", "001000"},  // a text only
      {"price NOT LIKE '1%'", "110111"},
      {"tags HAS 'new'", "100000"},
      {"tags HAS 1", "000100"},
      {"tags HAS 2.5", "000100"},
      {"tags HAS true", "000100"},
      {"tags HAS false", "000000"},
      {"NOT tags HAS 'new'", "011111"},
      {"tags NOT HAS 'new'", "011111"},
      {"size HAS 3", "000000"},  // an object is no array
      {"colour IS NULL", "000111"},
      {"colour IS NOT NULL", "111000"},
      {"size.w = 3", "010000"},
      {"size.w > 3", "000100"},
      {"size.h = 'x'", "010000"},
      {"size.w.x IS NULL", "111111"},
      {"size = 'x'", "000000"},
      {"size IS NOT NULL", "010100"},
      {"\"unit price\" < 2", "001000"},
      {"\"a.b\" = 1", "000010"},
      {"a.b = 1", "000000"},
      {"größe = 'ä'", "000010"},
      {"\"size\".\"w\" = 7", "000100"},
      {"colour='red'AND price=10", "100000"},
      {"colour = 'red' OR colour = 'blue' AND price > 100", "100000"},  // AND binds tighter
      {"(colour = 'red' OR colour = 'blue') AND price > 40", "010000"},
      {"NOT colour = 'red' AND price > 0", "010010"},  // NOT binds tightest
      {"not (colour = 'red' or price > 20) and price is not null", "001100"},
      {"NOT NOT colour = 'red'", "100000"},
      {"((((price = 10))))", "100000"},
  };
  for (const auto& [expression, expected] : cases) {
    INFO(expression);
    CHECK(shelf.match(expression) == expected);
  }
}

TEST_CASE("the JSON form means the same") {
  Shelf shelf(kProducts);
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"({})", "1"},
      {R"({"colour": "red"})", "colour = 'red'"},
      {R"({"colour": "red", "price": {"<": 50}})", "colour = 'red' AND price < 50"},
      {R"({"colour": ["red", "blue"]})", "colour IN ('red', 'blue')"},
      {R"({"colour": []})", "0"},
      {R"({"colour": null})", "colour IS NULL"},
      {R"({"colour": {"null": false}})", "colour IS NOT NULL"},
      {R"({"colour": {"null": true}})", "colour IS NULL"},
      {R"({"stock": true})", "stock = true"},
      {R"({"price": {">=": -3, "<=": 10}})", "price >= -3 AND price <= 10"},
      {R"({"price": {">": 10}})", "price > 10"},
      {R"({"price": {"=": 49.5}})", "price = 49.5"},
      {R"({"price": {"!=": 10}})", "price != 10"},
      {R"({"price": {"in": [10, "10"]}})", "price IN (10, '10')"},
      {R"({"price": {"between": [10, 49.5]}})", "price BETWEEN 10 AND 49.5"},
      {R"({"title": {"like": "%COTTON%"}})", "title LIKE '%COTTON%'"},
      {R"({"tags": {"has": "new"}})", "tags HAS 'new'"},
      {R"({"size.w": 3})", "size.w = 3"},
      {R"({"\"a.b\"": 1})", "\"a.b\" = 1"},
      {R"({"unit price": 1.25})", "\"unit price\" = 1.25"},
      {R"({"$not": {"colour": "red"}})", "NOT colour = 'red'"},
      {R"({"$or": [{"colour": "red"}, {"price": {">": 100}}]})", "colour = 'red' OR price > 100"},
      {R"({"$and": [{"price": {">": 0}}, {"$not": {"stock": true}}]})",
       "price > 0 AND NOT stock = true"},
      {R"({"price": 18446744073709551615})", "price = 18446744073709551615"},
  };
  for (const auto& [json, expression] : cases) {
    INFO(json);
    if (expression == "1" || expression == "0") {
      CHECK(shelf.match_json(json) == std::string(kProducts.size(), expression[0]));
    } else {
      CHECK(shelf.match_json(json) == shelf.match(expression));
    }
  }
}

TEST_CASE("a number is equal to itself, whatever its last digit") {
  std::mt19937_64 random(7);
  std::vector<std::string> rows;
  std::vector<std::string> numbers;
  for (int i = 0; i < 500; ++i) {
    const double value = std::ldexp(static_cast<double>(random() >> 11), int(random() % 200) - 150);
    numbers.push_back(fmt::format("{}", i % 2 == 0 ? value : -value));
    rows.push_back(fmt::format(R"({{"x": {}}})", numbers.back()));
  }
  Shelf shelf(rows);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    INFO(numbers[i]);
    CHECK(shelf.match("x = " + numbers[i])[i] == '1');
    CHECK(shelf.match("x IN (" + numbers[i] + ")")[i] == '1');
    CHECK(shelf.match("x < " + numbers[i])[i] == '0');
    CHECK(shelf.match_json(fmt::format(R"({{"x": {}}})", numbers[i]))[i] == '1');
  }
}

TEST_CASE("hostile text is a value and nothing else") {
  const std::vector<std::string> texts{
      "'; DROP TABLE items; --",
      "\" OR 1=1 --",
      "\\",
      "%",
      "?1",
      "$",
      "a\nb",
      "\xF0\x9F\x91\x97",
      "",
  };
  for (const std::string& text : texts) {
    INFO(text);
    const std::string row = nlohmann::json{{"x", text}, {"tags", {text}}}.dump();
    Shelf shelf({row, R"({"x":"other","tags":["other"]})"});
    std::string quoted = "'";
    for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
    quoted += "'";
    CHECK(shelf.match("x = " + quoted) == "10");
    CHECK(shelf.match("x IN (" + quoted + ")") == "10");
    CHECK(shelf.match("tags HAS " + quoted) == "10");
    CHECK(shelf.match_json(nlohmann::json{{"x", text}}.dump()) == "10");
    CHECK(shelf.rows() == 2);
  }
  for (const std::string name :
       {"x') OR 1=1; DROP TABLE items; --", "a]b", "[0]", "a'b", "#", "$"}) {
    INFO(name);
    const std::string row = nlohmann::json{{name, 1}}.dump();
    Shelf shelf({row, R"({"x":1})"});
    CHECK(shelf.match("\"" + name + "\" = 1") == "10");
    CHECK(shelf.rows() == 2);
  }
}

TEST_CASE("a mistake in an expression is named with its position") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "filter, position 1: expected a field name, NOT or '(', found the end"},
      {"price <",
       "filter, position 8: expected a value: a text in single quotes, a number, true or "
       "false, found the end; the filter is: price <"},
      {"price", "position 6: expected one of = != < <= > >= IN BETWEEN LIKE HAS IS"},
      {"price < 5 5", "position 11: expected AND, OR or the end, found a number"},
      {"größe <", "position 8"},  // characters, not bytes
      {"colour = \"red\"",
       "position 10: expected a value (a text is written in single quotes), "
       "found the field \"red\""},
      {"colour = red", "a text is written in single quotes"},
      {"colour = NULL", "asked with IS NULL"},
      {"colour == 'red'", "position 8: equality is written =, not =="},
      {"colour <> 'red'", "inequality is written !=, not <>"},
      {"colour = 'red", "position 10: a text is opened here and never closed"},
      {"\"colour = 'red'", "position 1: a field name is opened here and never closed"},
      {"colour IN 'red'", "expected '(' and the values"},
      {"colour IN ('red'", "expected ',' or ')', found the end"},
      {"colour IN ()", "expected a value"},
      {"(colour = 'red'", "expected AND, OR or ')', found the end"},
      {"colour = 'red')", "position 15: expected AND, OR or the end, found ')'"},
      {"price BETWEEN 1 OR 2", "expected AND and the upper end"},
      {"price BETWEEN 1 AND 'a'", "two numbers or two texts"},
      {"price BETWEEN true AND false", "two numbers or two texts"},
      {"stock < true", "only be compared with = and !="},
      {"title LIKE 5", "LIKE takes a text"},
      {"price IS 5", "expected NULL or NOT NULL"},
      {"price NOT 5", "expected IN, BETWEEN, LIKE or HAS"},
      {"AND = 5", "expected a field name"},
      {"a. = 5", "expected a field name after '.'"},
      {"price = 5x", "this is no number"},
      {"price = 1e", "this is no number"},
      {"price = 1e999", "this number is out of range"},
      {"price = -", "the character '-' has no meaning here"},
      {"price ; 5", "position 7: the character ';' has no meaning here"},
      {"\"\" = 5", "a field name is empty"},
      {"\"a\"\"b\" = 5", "double quote, a backslash or a control character"},
      {"\"a\\b\" = 5", "double quote, a backslash or a control character"},
      {"x = '\xFF'", "not UTF-8"},
      {std::string("x = 'a\0b'", 9), "not UTF-8"},
  };
  for (const auto& [expression, expected] : cases) {
    INFO(expression);
    CHECK_THAT(parse_error(expression), Catch::Contains(expected));
  }
}

TEST_CASE("a mistake in the JSON form is named with its field") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "not valid JSON"},
      {"{", "not valid JSON"},
      {"[]", "expected an object of fields"},
      {"5", "expected an object of fields"},
      {R"({"price": {}})", "filter, at \"price\": expected an operator"},
      {R"({"price": {"$lt": 5}})", "\"$lt\" is none of the operators = != <"},
      {R"({"price": {"<": null}})", "cannot be null here"},
      {R"({"price": {"<": [1]}})", "expected a text, a number"},
      {R"({"price": {"in": 5}})", "\"in\" takes an array"},
      {R"({"price": {"between": [5]}})", "takes an array of two"},
      {R"({"price": {"between": [5, "a"]}})", "two numbers or two texts"},
      {R"({"price": {"null": 1}})", "\"null\" takes true or false"},
      {R"({"price": {"like": 5}})", "LIKE takes a text"},
      {R"({"stock": {"<": true}})", "only be compared with = and !="},
      {R"({"price": [[1]]})", "expected a text, a number"},
      {R"({"$or": []})", "at least one object"},
      {R"({"$or": {"a": 1}})", "expected an array"},
      {R"({"$nor": [{"a": 1}]})", "expected $and, $or, $not or a field name"},
      {R"({"$not": 5})", "expected an object of fields"},
      {R"({"": 5})", "a field name is empty"},
      {R"({"a..b": 5})", "a field name is empty"},
      {R"({"a\\b": 5})", "double quote, a backslash"},
      {R"({"\"a": 5})", "expected a name in double quotes"},
      {R"({"a": "x\u0000y"})", "U+0000"},
  };
  for (const auto& [json, expected] : cases) {
    INFO(json);
    CHECK_THAT(json_error(json), Catch::Contains(expected));
  }
}

TEST_CASE("nesting and length are limited, and what is within the limits runs") {
  Shelf shelf({R"({"a":1})", R"({"a":2})"});
  const auto repeat = [](const std::string& text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) result += text;
    return result;
  };
  // Redundant parentheses cost nothing but recursion.
  CHECK(shelf.match(repeat("(", 100) + "a=1" + repeat(")", 100)) == "10");
  CHECK_THAT(parse_error(repeat("(", 101) + "a=1"), Catch::Contains("more than 100 nested levels"));
  CHECK_THAT(parse_error(repeat("(", 1'000'000)), Catch::Contains("more than 100 nested levels"));
  CHECK_THAT(parse_error(repeat("NOT ", 200'000) + "a=1"), Catch::Contains("nested levels"));
  CHECK_THAT(parse_error(std::string(2 << 20, ' ')), Catch::Contains("bytes long"));

  // The deepest tree of the shapes that cost SQLite's parser most.
  const std::string deep = repeat("a=0 OR (a=1 AND (", 12) + "a=1" + repeat("))", 12);
  CHECK(shelf.match(deep) == "10");
  for (const std::string leaf : {"a IN ('t', 1)", "NOT a HAS 0.5"}) {
    CAPTURE(leaf);
    CHECK(shelf.match(repeat("a=0 OR (a=1 AND (", 11) + leaf + repeat("))", 11)) == "10");
  }
  CHECK_THAT(parse_error("NOT (" + deep + ")"), Catch::Contains("more than 24 levels deep"));
  const std::string nots = repeat("NOT (a=0 OR ", 12) + "a=1" + repeat(")", 12);
  CHECK(shelf.match(nots) == "10");
  const std::string json_deep =
      repeat(R"({"a":{"<":9,">":0},"$or":[{"a":0},)", 12) + R"({"a":1})" + repeat("]}", 12);
  CHECK(shelf.match_json(json_deep) == "10");
  CHECK_THAT(json_error(R"({"$not":)" + json_deep + "}"), Catch::Contains("24 levels deep"));
  CHECK_THAT(json_error(repeat(R"({"$not":)", 5000) + "{}" + repeat("}", 5000)),
             Catch::Contains("nested levels"));

  CHECK(shelf.match("a=2" + repeat(" OR a=1", 499)) == "11");
  CHECK(shelf.match("a=1" + repeat(" AND a<2", 499)) == "10");
  CHECK_THAT(parse_error("a=1" + repeat(" OR a=1", 500)), Catch::Contains("500 conditions"));
  CHECK(shelf.match("a IN (" + repeat("3,", 100'000) + "2)") == "01");
  CHECK_THAT(parse_error("a LIKE '" + std::string(10'001, '%') + "'"), Catch::Contains("10,000"));
}

TEST_CASE("random input is parsed or refused, and what is parsed runs") {
  const std::vector<std::string> words{
      "a", "b.c", "\"x y\"", "'t'", "''", "5", "-1.5e3", "true", "=", "!=", "<", "<=", ">",
      ">=", "(", ")", ",", ".", "IN", "BETWEEN", "LIKE", "HAS", "IS", "NULL", "NOT", "AND", "OR",
      "'", "\"", "\xC3", ";",
      // likely sequences, so that some of it is valid
      "a = 5", "AND a = 5", "OR NOT b.c IS NULL", "a IN (1, 't')", "a BETWEEN 1 AND 2"};
  Shelf shelf({R"({"a":5,"b":{"c":"t"}})"});
  std::mt19937 random(42);
  int valid = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string expression;
    if (round % 2 == 0) {
      const auto length = 1 + random() % 8;
      for (std::size_t i = 0; i < length; ++i) expression += words[random() % words.size()] + " ";
    } else {
      const auto length = random() % 30;
      for (std::size_t i = 0; i < length; ++i) expression += static_cast<char>(random() % 256);
    }
    try {
      const Filter filter = Filter::parse(expression);
      const std::string matched = shelf.match(filter);
      CHECK((matched == "0" || matched == "1"));
      ++valid;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kInvalidArgument) {
        INFO(expression);
        FAIL_CHECK(e.what());
      }
    }
    try {
      Filter::from_json(expression);
    } catch (const Error& e) {
      CHECK(e.code() == ErrorCode::kInvalidArgument);
    }
  }
  CHECK(valid > 100);
}

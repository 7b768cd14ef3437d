#include "catalog/filter_plan.h"

#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "support/sanitized.h"
#include "support/shelf.h"

using nlohmann::json;
using vsearch::FieldType;
using vsearch::Filter;
using vsearch::FilterNode;
using vsearch::FilterValue;
using vsearch::Id;
using vsearch_test::Shelf;
using Kind = FilterNode::Kind;

namespace {

std::vector<Id> match(Shelf& shelf, const FilterNode& root) {
  return vsearch::detail::matching_pictures(root, shelf.fields(),
                                            [&](const auto& work) { work(shelf.database()); })
      .ids();
}
std::vector<Id> match(Shelf& shelf, const std::string& expression) {
  return match(shelf, Filter::parse(expression).root());
}

// ---- What filter.h promises, written down once more.

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_like(std::string_view text, std::string_view pattern) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '%') {
    for (std::size_t i = 0; i <= text.size(); ++i) {
      if (is_like(text.substr(i), pattern.substr(1))) return true;
    }
    return false;
  }
  if (text.empty()) return false;
  if (pattern.front() == '_') {
    std::size_t bytes = 1;
    while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) ++bytes;
    return is_like(text.substr(bytes), pattern.substr(1));
  }
  return lower(text.front()) == lower(pattern.front()) &&
         is_like(text.substr(1), pattern.substr(1));
}

// Less than, equal to or greater than 0; nothing if the two are of different types.
std::optional<int> compare(const json& value, const FilterValue& operand) {
  const auto order = [](const auto& a, const auto& b) { return a < b ? -1 : b < a ? 1 : 0; };
  if (const auto* text = std::get_if<std::string>(&operand)) {
    if (!value.is_string()) return std::nullopt;
    return order(value.get_ref<const std::string&>(), *text);
  }
  if (const auto* boolean = std::get_if<bool>(&operand)) {
    if (!value.is_boolean()) return std::nullopt;
    return order(value.get<bool>(), *boolean);
  }
  if (!value.is_number()) return std::nullopt;
  // Wide enough for every int64 and every double.
  const auto wanted = std::holds_alternative<double>(operand)
                          ? static_cast<long double>(std::get<double>(operand))
                          : static_cast<long double>(std::get<std::int64_t>(operand));
  const auto is = value.is_number_integer() ? static_cast<long double>(value.get<std::int64_t>())
                                            : static_cast<long double>(value.get<double>());
  return order(is, wanted);
}

bool matches(const FilterNode& node, const json& metadata) {
  const auto child_matches = [&](const FilterNode& child) { return matches(child, metadata); };
  if (node.kind == Kind::kAnd) return std::ranges::all_of(node.children, child_matches);
  if (node.kind == Kind::kOr) return std::ranges::any_of(node.children, child_matches);
  if (node.kind == Kind::kNot) return !child_matches(node.children.front());
  static const json kNothing;
  const json* place = &metadata;
  for (const std::string& name : node.field) {
    const auto member = place->find(name);
    place = member != place->end() ? &*member : &kNothing;
  }
  const json& value = *place;
  const auto is = [&](auto condition) {
    const std::optional<int> order = compare(value, node.values[0]);
    return order.has_value() && condition(*order);
  };
  switch (node.kind) {
    case Kind::kEqual:
      return is([](int order) { return order == 0; });
    case Kind::kNotEqual:
      return is([](int order) { return order != 0; });
    case Kind::kLess:
      return is([](int order) { return order < 0; });
    case Kind::kLessEqual:
      return is([](int order) { return order <= 0; });
    case Kind::kGreater:
      return is([](int order) { return order > 0; });
    case Kind::kGreaterEqual:
      return is([](int order) { return order >= 0; });
    case Kind::kIn:
      return std::ranges::any_of(
          node.values, [&](const FilterValue& wanted) { return compare(value, wanted) == 0; });
    case Kind::kBetween:
      return is([](int order) { return order >= 0; }) && *compare(value, node.values[1]) <= 0;
    case Kind::kLike:
      return value.is_string() &&
             is_like(value.get_ref<const std::string&>(), std::get<std::string>(node.values[0]));
    case Kind::kHas:
      return value.is_array() && std::ranges::any_of(value, [&](const json& element) {
               return compare(element, node.values[0]) == 0;
             });
    default:
      return value.is_null();
  }
}

// ---- Items and filters by chance.

const std::string kHostile = "x'; DROP TABLE items; --";
const std::string kHostileValue = "' OR 1=1; DROP TABLE field_values; --";

struct TestField {
  std::vector<std::string> path;
  std::optional<FieldType> type;  // of declared ones
};
const std::vector<TestField> kFields{
    {{"colour"}, FieldType::kText},      {{"price"}, FieldType::kNumber},
    {{"stock"}, FieldType::kBoolean},    {{"tags"}, FieldType::kTags},
    {{"size", "w"}, FieldType::kNumber}, {{"a.b"}, FieldType::kText},
    {{"title"}, std::nullopt},           {{"misc"}, std::nullopt},
    {{"size", "h"}, std::nullopt},       {{kHostile}, std::nullopt},
};

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution(std::size_t{0}, n - 1)(random_);
  }
  template <typename List>
  const auto& one_of(const List& list) {
    return list[below(std::size(list))];
  }

  std::string text() {
    static const std::vector<std::string> kTexts{
        "",    "red", "Red", "RED",        "blue",        "blue shirt", "100%", "größe",  "GRÖßE",
        "new", "b_d", "bXd", "\U0001F3A8", kHostileValue, "10",         "true", "a\"b\\c"};
    return one_of(kTexts);
  }
  json number() {
    static const std::vector<json> kNumbers{0,
                                            1,
                                            -1,
                                            10,
                                            10.0,
                                            0.1,
                                            0.3,
                                            9.99,
                                            -2.5,
                                            1e300,
                                            std::int64_t{9007199254740993},
                                            9007199254740992.0,
                                            INT64_MAX,
                                            INT64_MIN,
                                            9223372036854775808.0};
    if (below(2) == 0) return static_cast<std::int64_t>(below(200));
    return one_of(kNumbers);
  }
  json tags() {
    json result = json::array();
    for (std::size_t i = below(4); i > 0; --i) result.push_back(text());
    return result;
  }
  json anything() {
    switch (below(6)) {
      case 0:
        return number();
      case 1:
        return below(2) == 0;
      case 2:
        return json::array({text(), number(), true, nullptr, json::array({text()})});
      case 3:
        return json{{"w", number()}};
      default:
        return text();
    }
  }

  json metadata() {
    json result = json::object();
    for (const TestField& field : kFields) {
      const std::size_t how = below(10);
      if (how < 2) continue;
      // A field within something that is no object cannot be set.
      json* place = &result;
      for (const std::string& name : field.path) place = &(*place)[name];
      *place = how == 2 ? json() : value_for(field.type);
    }
    if (below(20) == 0) result["size"] = "none";
    return result;
  }

  FilterNode filter(int depth) {
    const std::size_t kind = depth == 0 ? 9 : below(10);
    if (kind < 2) return vsearch::detail::negate(filter(depth - 1));
    if (kind < 7) {
      std::vector<FilterNode> children;
      for (std::size_t i = 2 + below(2); i > 0; --i) children.push_back(filter(depth - 1));
      return vsearch::detail::combine(kind < 5 ? Kind::kAnd : Kind::kOr, std::move(children));
    }
    FilterNode node = leaf();
    while (!vsearch::detail::filter_problem(node).empty()) node = leaf();
    return node;
  }

 private:
  json value_for(std::optional<FieldType> type) {
    if (!type) return anything();
    switch (*type) {
      case FieldType::kText:
        return text();
      case FieldType::kNumber:
        return number();
      case FieldType::kBoolean:
        return below(2) == 0;
      default:
        return tags();
    }
  }

  FilterValue operand(std::optional<FieldType> type) {
    // Now and then of a type that the field does not have.
    const json value = below(8) == 0 ? anything() : value_for(type);
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number_integer()) return value.get<std::int64_t>();
    if (value.is_number()) return value.get<double>();
    return value.is_string() ? value.get<std::string>() : text();
  }

  FilterNode leaf() {
    const TestField& field = one_of(kFields);
    static constexpr std::array kKinds{Kind::kEqual,     Kind::kNotEqual, Kind::kLess,
                                       Kind::kLessEqual, Kind::kGreater,  Kind::kGreaterEqual,
                                       Kind::kIn,        Kind::kBetween,  Kind::kLike,
                                       Kind::kHas,       Kind::kIsNull};
    FilterNode node{one_of(kKinds), field.path, {}, {}};
    if (field.type == FieldType::kTags && below(2) == 0) node.kind = Kind::kHas;
    std::size_t values = 1;
    if (node.kind == Kind::kIsNull) values = 0;
    if (node.kind == Kind::kBetween) values = 2;
    if (node.kind == Kind::kIn) values = below(5);
    while (values-- > 0) node.values.push_back(operand(field.type));
    if (node.kind == Kind::kLike) {
      node.values[0] = one_of(
          std::array<std::string, 8>{"%", "r%", "%E%", "_e_", "b_d", "%ö%", "100\x25", "RED"});
    }
    return node;
  }

  std::mt19937_64 random_;
};

void declare_all(Shelf& shelf) {
  for (const TestField& field : kFields) {
    if (!field.type) continue;
    std::string name;
    for (const std::string& part : field.path) {
      name += (name.empty() ? "\"" : ".\"") + part + "\"";
    }
    REQUIRE(shelf.declare(name, *field.type));
  }
}

// Compares the three ways on `count` random filters; returns how many found some but not all.
int compare_ways(Shelf& shelf, Chance& chance, int count) {
  std::vector<std::pair<json, const Shelf::Item*>> items;
  std::size_t pictures = 0;
  for (const auto& [number, item] : shelf.items()) {
    items.emplace_back(json::parse(item.metadata), &item);
    pictures += item.pictures.size();
  }
  int telling = 0;
  for (int i = 0; i < count; ++i) {
    const FilterNode filter = chance.filter(4);
    std::vector<Id> expected;
    for (const auto& [metadata, item] : items) {
      if (!matches(filter, metadata)) continue;
      expected.insert(expected.end(), item->pictures.begin(), item->pictures.end());
    }
    CAPTURE(i, vsearch::detail::filter_to_sql(filter).where);
    REQUIRE(shelf.match_by_sql(filter) == expected);
    REQUIRE(match(shelf, filter) == expected);
    if (!expected.empty() && expected.size() < pictures) ++telling;
  }
  return telling;
}

}  // namespace

TEST_CASE("random filters find what the metadata say, by whatever way") {
  constexpr int kFilters = vsearch_test::kSanitized ? 300 : 1500;
  Chance chance(1);
  Shelf shelf;
  for (int i = 0; i < 100; ++i) shelf.add(chance.metadata().dump(), 1 + chance.below(3));
  declare_all(shelf);
  for (int i = 0; i < 100; ++i) shelf.add(chance.metadata().dump(), 1 + chance.below(3));
  CHECK(compare_ways(shelf, chance, kFilters) > kFilters / 2);
  // The index goes along with changes.
  for (std::int64_t item = 1; item <= 200; ++item) {
    if (item % 3 == 0) shelf.patch(item, chance.metadata().dump());
    if (item % 7 == 0) shelf.remove(item);
  }
  for (int i = 0; i < 30; ++i) shelf.add(chance.metadata().dump(), 1 + chance.below(3));
  CHECK(compare_ways(shelf, chance, kFilters) > kFilters / 2);
}

TEST_CASE("random filters find the same among so many items that few of them are looked up") {
  Chance chance(2);
  Shelf shelf;
  for (int i = 0; i < 6000; ++i) shelf.add(chance.metadata().dump(), 1 + chance.below(2));
  declare_all(shelf);
  constexpr int kFilters = vsearch_test::kSanitized ? 20 : 100;
  CHECK(compare_ways(shelf, chance, kFilters) > kFilters / 2);
}

TEST_CASE("without declared fields all is found in the metadata") {
  Chance chance(3);
  Shelf shelf;
  for (int i = 0; i < 200; ++i) shelf.add(chance.metadata().dump());
  CHECK(compare_ways(shelf, chance, 500) > 250);
}

TEST_CASE("a filter without conditions matches every picture") {
  Shelf shelf;
  shelf.add("{}", 2);
  shelf.add(R"({"price":1})", 1);
  const FilterNode everything = Filter::from_json("{}").root();
  CHECK(match(shelf, everything) == std::vector<Id>{1, 2, 3});
  shelf.declare("price", FieldType::kNumber);
  CHECK(match(shelf, everything) == std::vector<Id>{1, 2, 3});
}

TEST_CASE("empty tags are tags") {
  Shelf shelf;
  shelf.add(R"({"tags":[]})");
  shelf.add(R"({"tags":["new"]})");
  shelf.add(R"({"tags":null})");
  shelf.add("{}");
  const auto check = [&] {
    CHECK(match(shelf, "tags IS NULL") == std::vector<Id>{3, 4});
    CHECK(match(shelf, "tags IS NOT NULL") == std::vector<Id>{1, 2});
    CHECK(match(shelf, "tags NOT HAS 'new'") == std::vector<Id>{1, 3, 4});
    CHECK(match(shelf, "tags HAS 0") == std::vector<Id>{});
    CHECK(match(shelf, "tags = 'new'") == std::vector<Id>{});
  };
  check();
  shelf.declare("tags", FieldType::kTags);
  check();
  shelf.patch(2, R"({"tags":[]})");
  shelf.patch(1, R"({"tags":["new"]})");
  CHECK(match(shelf, "tags HAS 'new'") == std::vector<Id>{1});
  CHECK(match(shelf, "tags IS NULL") == std::vector<Id>{3, 4});
}

TEST_CASE("what looks like SQL is a name or a value like any other") {
  Shelf shelf;
  const std::string metadata = json{{kHostile, kHostileValue}, {"n", 1}}.dump();
  shelf.add(metadata);
  shelf.add("{}");
  const FilterNode equal{Kind::kEqual, {kHostile}, {kHostileValue}, {}};
  const FilterNode in{Kind::kIn, {kHostile}, {kHostileValue, std::string("]')")}, {}};
  const FilterNode like{Kind::kLike, {kHostile}, {std::string("' OR 1=1%")}, {}};
  for (int declared = 0; declared < 2; ++declared) {
    CHECK(match(shelf, equal) == std::vector<Id>{1});
    CHECK(match(shelf, in) == std::vector<Id>{1});
    CHECK(match(shelf, like) == std::vector<Id>{1});
    CHECK(match(shelf, vsearch::detail::negate(equal)) == std::vector<Id>{2});
    if (declared == 0) CHECK(shelf.declare("\"" + kHostile + "\"", FieldType::kText));
  }
  CHECK(shelf.rows() == kHostile + "|'" + "'' OR 1=1; DROP TABLE field_values; --" + "'|1\n");
  CHECK(shelf.drop("\"" + kHostile + "\""));
  CHECK(shelf.rows().empty());
  CHECK(match(shelf, equal) == std::vector<Id>{1});
}

TEST_CASE("a field that is dropped while its filter is at work is found in the metadata") {
  Shelf shelf;
  for (int i = 0; i < 10; ++i) shelf.add(R"({"price":)" + std::to_string(i) + R"(,"note":"x"})");
  shelf.declare("price", FieldType::kNumber);
  bool dropped = false;
  const auto found = vsearch::detail::matching_pictures(
      Filter::parse("price < 3 AND NOT price = 0").root(), shelf.fields(), [&](const auto& work) {
        if (!std::exchange(dropped, true)) shelf.drop("price");
        work(shelf.database());
      });
  CHECK(dropped);
  CHECK(found.ids() == std::vector<Id>{2, 3});
}

TEST_CASE("others get at the store while metadata are looked through") {
  Shelf shelf;
  for (int i = 0; i < 9000; ++i) shelf.add(R"({"note":"x"})");
  int turns = 0;
  const auto found = vsearch::detail::matching_pictures(Filter::parse("note = 'x'").root(),
                                                        shelf.fields(), [&](const auto& work) {
                                                          ++turns;
                                                          work(shelf.database());
                                                        });
  CHECK(found.size() == 9000);
  CHECK(turns >= 3);
}

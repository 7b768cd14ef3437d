// Filter::from_json.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "catalog/filter_node.h"
#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

using nlohmann::json;
using Kind = FilterNode::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 8> kScalarOperators{{
    {"=", Kind::kEqual},
    {"!=", Kind::kNotEqual},
    {"<", Kind::kLess},
    {"<=", Kind::kLessEqual},
    {">", Kind::kGreater},
    {">=", Kind::kGreaterEqual},
    {"like", Kind::kLike},
    {"has", Kind::kHas},
}};

[[noreturn]] void fail(std::string_view where, std::string_view what) {
  throw Error(ErrorCode::kInvalidArgument,
              where.empty() ? fmt::format("filter: {}", what)
                            : fmt::format("filter, at \"{}\": {}", util::shorten(where), what));
}

class Reader {
 public:
  FilterNode object(const json& value, std::string_view where) {
    if (!value.is_object()) {
      fail(where, "expected an object of fields, such as {\"colour\": \"red\"}");
    }
    if (++recursion_ > detail::kMaxFilterRecursion) {
      fail(where, fmt::format("more than {} nested levels", detail::kMaxFilterRecursion));
    }
    std::vector<FilterNode> entries;
    for (const auto& [key, member] : value.items()) entries.push_back(entry(key, member));
    --recursion_;
    return detail::combine(Kind::kAnd, std::move(entries));
  }

 private:
  FilterNode entry(const std::string& key, const json& value) {
    if (key == "$not") return detail::negate(object(value, key));
    if (key == "$and" || key == "$or") {
      if (!value.is_array() || value.empty()) {
        fail(key, "expected an array of at least one object");
      }
      std::vector<FilterNode> members;
      for (const json& member : value) members.push_back(object(member, key));
      return detail::combine(key == "$and" ? Kind::kAnd : Kind::kOr, std::move(members));
    }
    if (key.starts_with('$')) fail(key, "expected $and, $or, $not or a field name");
    return conditions(key, value);
  }

  FilterNode conditions(const std::string& key, const json& value) {
    if (value.is_null()) return leaf(key, Kind::kIsNull, {});
    if (value.is_array()) return leaf(key, Kind::kIn, scalars(key, value));
    if (!value.is_object()) return leaf(key, Kind::kEqual, {scalar(key, value)});
    if (value.empty()) fail(key, "expected an operator, such as {\"<\": 50}");
    std::vector<FilterNode> operations;
    for (const auto& [name, operand] : value.items()) {
      operations.push_back(operation(key, name, operand));
    }
    return detail::combine(Kind::kAnd, std::move(operations));
  }

  FilterNode operation(const std::string& key, const std::string& name, const json& operand) {
    for (const auto& [symbol, kind] : kScalarOperators) {
      if (name == symbol) return leaf(key, kind, {scalar(key, operand)});
    }
    if (name == "in") {
      if (!operand.is_array()) fail(key, "\"in\" takes an array");
      return leaf(key, Kind::kIn, scalars(key, operand));
    }
    if (name == "between") {
      if (!operand.is_array() || operand.size() != 2) {
        fail(key, "\"between\" takes an array of two values");
      }
      return leaf(key, Kind::kBetween, scalars(key, operand));
    }
    if (name == "null") {
      if (!operand.is_boolean()) fail(key, "\"null\" takes true or false");
      FilterNode is_null = leaf(key, Kind::kIsNull, {});
      return operand.get<bool>() ? is_null : detail::negate(std::move(is_null));
    }
    fail(key, fmt::format("\"{}\" is none of the operators = != < <= > >= in between like has "
                          "null (a field of an object is reached by a.b)",
                          util::shorten(name)));
  }

  FilterNode leaf(const std::string& key, Kind kind, std::vector<FilterValue> values) {
    if (++conditions_ > detail::kMaxFilterConditions) {
      fail(key, fmt::format("more than {} conditions", detail::kMaxFilterConditions));
    }
    std::optional<std::vector<std::string>> names = detail::split_field(key);
    if (!names) fail(key, "expected a name in double quotes, then '.' or the end");
    FilterNode node{kind, *std::move(names), std::move(values), {}};
    if (const std::string problem = detail::filter_problem(node); !problem.empty()) {
      fail(key, problem);
    }
    return node;
  }

  static std::vector<FilterValue> scalars(const std::string& key, const json& array) {
    std::vector<FilterValue> values;
    for (const json& value : array) values.push_back(scalar(key, value));
    return values;
  }

  static FilterValue scalar(const std::string& key, const json& value) {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) {
      return value.get<double>();
    }
    if (value.is_number_integer()) return value.get<std::int64_t>();
    if (value.is_number_float()) return value.get<double>();
    fail(key, value.is_null()
                  ? "a value cannot be null here (a missing field is asked with {\"null\": true})"
                  : "expected a text, a number, true or false");
  }

  int recursion_ = 0;
  int conditions_ = 0;
};

}  // namespace

Filter Filter::from_json(std::string_view text) {
  if (text.size() > detail::kMaxFilterBytes) {
    fail({}, fmt::format("{} bytes of JSON; the most is {}", text.size(), detail::kMaxFilterBytes));
  }
  json parsed;
  try {
    parsed = json::parse(text);
  } catch (const json::exception& e) {
    fail({}, fmt::format("not valid JSON ({}): {}", e.what(), util::shorten(text)));
  }
  FilterNode root = Reader().object(parsed, {});
  detail::check_filter_depth(root);
  return Filter(std::make_shared<const FilterNode>(std::move(root)));
}

}  // namespace vsearch

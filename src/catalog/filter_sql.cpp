#include "catalog/filter_sql.h"

#include <fmt/format.h>

#include <utility>

#include "catalog/metadata_value.h"

namespace vsearch::detail {
namespace {

using Kind = FilterNode::Kind;

constexpr std::string_view kIsText = "json_type(metadata, ?{0}) IS 'text'";
constexpr std::string_view kIsNumber =
    "ifnull(json_type(metadata, ?{0}), '') IN ('integer', 'real')";

class SqlWriter {
 public:
  std::string node(const FilterNode& node) {
    switch (node.kind) {
      case Kind::kAnd:
        return list(node.children, " AND ", "1");
      case Kind::kOr:
        return list(node.children, " OR ", "0");
      case Kind::kNot:
        return fmt::format("NOT ({})", this->node(node.children.front()));
      default:
        return fmt::format("({})", leaf(node));
    }
  }

  FilterSql finish(std::string where) && { return {std::move(where), std::move(parameters_)}; }

 private:
  std::string list(const std::vector<FilterNode>& children, std::string_view between,
                   std::string_view if_empty) {
    std::string sql;
    for (const FilterNode& child : children) {
      if (!sql.empty()) sql += between;
      sql += node(child);
    }
    return sql.empty() ? std::string(if_empty) : fmt::format("({})", sql);
  }

  std::string leaf(const FilterNode& leaf) {
    if (leaf.kind == Kind::kIn && leaf.values.empty()) return "0";
    const std::size_t path = bind(json_path(leaf.field));
    switch (leaf.kind) {
      case Kind::kEqual:
        return compare(path, "=", leaf.values[0]);
      case Kind::kNotEqual:
        return compare(path, "!=", leaf.values[0]);
      case Kind::kLess:
        return compare(path, "<", leaf.values[0]);
      case Kind::kLessEqual:
        return compare(path, "<=", leaf.values[0]);
      case Kind::kGreater:
        return compare(path, ">", leaf.values[0]);
      case Kind::kGreaterEqual:
        return compare(path, ">=", leaf.values[0]);
      case Kind::kBetween:
        return fmt::format("{} AND json_extract(metadata, ?{}) BETWEEN {} AND {}",
                           type_check(path, leaf.values[0]), path, value(leaf.values[0]),
                           value(leaf.values[1]));
      case Kind::kLike:
        return compare(path, "LIKE", leaf.values[0]);
      case Kind::kIn:
        return in(path, leaf.values);
      case Kind::kHas:
        return has(path, leaf.values[0]);
      default:
        return fmt::format("ifnull(json_type(metadata, ?{}), 'null') = 'null'", path);
    }
  }

  std::string compare(std::size_t path, std::string_view op, const FilterValue& operand) {
    if (const bool* wanted = std::get_if<bool>(&operand)) {
      return fmt::format("json_type(metadata, ?{}) IS '{}'", path,
                         (op == "=") == *wanted ? "true" : "false");
    }
    return fmt::format("{} AND json_extract(metadata, ?{}) {} {}", type_check(path, operand), path,
                       op, value(operand));
  }

  // Values of one type go in as one JSON array, however many they are.
  std::string in(std::size_t path, const std::vector<FilterValue>& values) {
    MetadataValue::Array texts;
    MetadataValue::Array numbers;
    std::string sql;
    const auto either = [&](const std::string& condition) {
      if (!sql.empty()) sql += " OR ";
      sql += condition;
    };
    bool bools[2] = {false, false};
    for (const FilterValue& value : values) {
      if (const auto* text = std::get_if<std::string>(&value)) texts.emplace_back().value = *text;
      if (const auto* integer = std::get_if<std::int64_t>(&value))
        numbers.emplace_back().value = *integer;
      if (const auto* real = std::get_if<double>(&value)) numbers.emplace_back().value = *real;
      if (const auto* boolean = std::get_if<bool>(&value)) bools[*boolean ? 1 : 0] = true;
    }
    for (const auto& [array, check] :
         {std::pair(&texts, kIsText), std::pair(&numbers, kIsNumber)}) {
      if (array->empty()) continue;
      // Without parentheses of its own, which SQLite's parser would have to hold: AND binds first.
      either(fmt::format("{} AND json_extract(metadata, ?{}) IN (SELECT value FROM json_each(?{}))",
                         fmt::format(fmt::runtime(check), path), path,
                         bind(to_text(MetadataValue{*array}))));
    }
    if (bools[0]) either(fmt::format("json_type(metadata, ?{}) IS 'false'", path));
    if (bools[1]) either(fmt::format("json_type(metadata, ?{}) IS 'true'", path));
    return sql;
  }

  std::string has(std::size_t path, const FilterValue& wanted) {
    std::string condition;
    if (const bool* boolean = std::get_if<bool>(&wanted)) {
      condition = fmt::format("element.type = '{}'", *boolean ? "true" : "false");
    } else {
      condition =
          fmt::format("element.type IN ({}) AND element.value = {}",
                      std::holds_alternative<std::string>(wanted) ? "'text'" : "'integer', 'real'",
                      value(wanted));
    }
    return fmt::format(
        "json_type(metadata, ?{0}) IS 'array' AND "
        "EXISTS (SELECT 1 FROM json_each(metadata, ?{0}) AS element WHERE {1})",
        path, condition);
  }

  static std::string type_check(std::size_t path, const FilterValue& operand) {
    return fmt::format(
        fmt::runtime(std::holds_alternative<std::string>(operand) ? kIsText : kIsNumber), path);
  }

  std::string value(const FilterValue& operand) {
    if (const auto* text = std::get_if<std::string>(&operand)) {
      return fmt::format("?{}", bind(*text));
    }
    if (const auto* integer = std::get_if<std::int64_t>(&operand)) {
      return fmt::format("?{}", bind(*integer));
    }
    // SQLite reads decimal fractions with an error in the last place now and then. Written as the
    // metadata are and read as they are, a number is equal to itself.
    return fmt::format("CAST(?{} AS REAL)", bind(to_text(std::get<double>(operand))));
  }

  template <typename Value>  // std::int64_t or std::string
  std::size_t bind(Value value) {
    parameters_.emplace_back(std::in_place_type<Value>, std::move(value));
    return parameters_.size();
  }

  std::vector<std::variant<std::int64_t, std::string>> parameters_;
};

}  // namespace

std::string json_path(const std::vector<std::string>& field) {
  std::string path = "$";
  for (const std::string& name : field) path += fmt::format(".\"{}\"", name);
  return path;
}

FilterSql filter_to_sql(const FilterNode& root) {
  SqlWriter writer;
  std::string where = writer.node(root);
  return std::move(writer).finish(std::move(where));
}

}  // namespace vsearch::detail

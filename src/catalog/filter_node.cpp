#include "catalog/filter_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch::detail {
namespace {

using Kind = FilterNode::Kind;

bool is_bool(const FilterValue& value) {
  return std::holds_alternative<bool>(value);
}
bool is_text(const FilterValue& value) {
  return std::holds_alternative<std::string>(value);
}

int depth(const FilterNode& node) {
  int deepest = 0;
  for (const FilterNode& child : node.children) deepest = std::max(deepest, depth(child));
  return deepest + (node.children.empty() ? 0 : 1);
}

}  // namespace

FilterNode combine(FilterNode::Kind kind, std::vector<FilterNode> children) {
  if (children.size() == 1) return std::move(children.front());
  FilterNode node{kind, {}, {}, {}};
  for (FilterNode& child : children) {
    if (child.kind == kind) {
      std::move(child.children.begin(), child.children.end(), std::back_inserter(node.children));
    } else {
      node.children.push_back(std::move(child));
    }
  }
  return node;
}

FilterNode negate(FilterNode node) {
  FilterNode result{Kind::kNot, {}, {}, {}};
  result.children.push_back(std::move(node));
  return result;
}

void check_filter_depth(const FilterNode& root) {
  if (depth(root) > kMaxFilterDepth) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("filter: AND, OR and NOT stand within each other more than {} levels "
                            "deep; write it flatter",
                            kMaxFilterDepth));
  }
}

std::string filter_name_problem(std::string_view name) {
  if (name.empty()) return "a field name is empty";
  if (name.find_first_of("\"\\") != std::string_view::npos || util::has_control_characters(name)) {
    return "a field whose name has a double quote, a backslash or a control character cannot be "
           "used in a filter";
  }
  return {};
}

std::optional<std::vector<std::string>> split_field(std::string_view field) {
  std::vector<std::string> names;
  std::size_t at = 0;
  while (true) {
    std::size_t end = 0;
    if (at < field.size() && field[at] == '"') {
      const std::size_t close = field.find('"', at + 1);
      if (close == std::string_view::npos) return std::nullopt;
      if (close + 1 < field.size() && field[close + 1] != '.') return std::nullopt;
      names.emplace_back(field.substr(at + 1, close - at - 1));
      end = close + 1;
    } else {
      end = std::min(field.find('.', at), field.size());
      names.emplace_back(field.substr(at, end - at));
    }
    if (end == field.size()) return names;
    at = end + 1;
  }
}

std::string filter_problem(const FilterNode& leaf) {
  for (const std::string& name : leaf.field) {
    if (std::string problem = filter_name_problem(name); !problem.empty()) return problem;
  }
  for (const FilterValue& value : leaf.values) {
    const auto* text = std::get_if<std::string>(&value);
    if (text != nullptr && text->find('\0') != std::string::npos) {
      return "a text cannot have the character U+0000";
    }
  }
  switch (leaf.kind) {
    case Kind::kLess:
    case Kind::kLessEqual:
    case Kind::kGreater:
    case Kind::kGreaterEqual:
      if (is_bool(leaf.values[0])) return "true and false can only be compared with = and !=";
      break;
    case Kind::kBetween:
      if (is_bool(leaf.values[0]) || is_bool(leaf.values[1])) {
        return "BETWEEN takes two numbers or two texts, not true or false";
      }
      if (is_text(leaf.values[0]) != is_text(leaf.values[1])) {
        return "BETWEEN takes two numbers or two texts, not one of each";
      }
      break;
    case Kind::kLike: {
      const auto* pattern = std::get_if<std::string>(&leaf.values[0]);
      if (pattern == nullptr) return "LIKE takes a text";
      if (pattern->size() > kMaxLikeBytes) return "the pattern of LIKE is longer than 10,000 bytes";
      break;
    }
    default:
      break;
  }
  return {};
}

}  // namespace vsearch::detail

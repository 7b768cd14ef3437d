// The parsed form of a Filter, and what both of its notations have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vsearch/filter.h"

namespace vsearch {

using FilterValue = std::variant<bool, std::int64_t, double, std::string>;

// A condition on one field (a leaf), or a combination of conditions.
struct FilterNode {
  enum class Kind {
    kAnd,  // all children; true if there are none
    kOr,   // at least one of the children
    kNot,  // not the only child
    kEqual,
    kNotEqual,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kIn,       // one of the values
    kBetween,  // values[0] <= field <= values[1]
    kLike,
    kHas,
    kIsNull,  // missing, or null
  };

  Kind kind = Kind::kAnd;
  std::vector<std::string> field;  // leaves: the names on the way from the top of the metadata
  std::vector<FilterValue> values;
  std::vector<FilterNode> children;
};

namespace detail {

// Limits against input made to exhaust the host.
inline constexpr std::size_t kMaxFilterBytes = std::size_t{1} << 20;
inline constexpr int kMaxFilterRecursion = 100;  // of the parsers
inline constexpr int kMaxFilterConditions = 500;
inline constexpr std::size_t kMaxLikeBytes = 10'000;
// Of AND, OR and NOT within each other. SQLite's SQL parser has a stack of a hundred places and
// every level takes up to three.
inline constexpr int kMaxFilterDepth = 24;

// All (kAnd) or one (kOr) of `children`; children of the same kind are merged in, a single one
// stands for itself.
FilterNode combine(FilterNode::Kind kind, std::vector<FilterNode> children);
FilterNode negate(FilterNode node);

// Throws kInvalidArgument if `root` is nested deeper than kMaxFilterDepth.
void check_filter_depth(const FilterNode& root);

// Why this leaf makes no sense ("LIKE takes a text in quotes"), or an empty text if it does.
std::string filter_problem(const FilterNode& leaf);

// Why a field cannot be called that, or an empty text if it can.
std::string filter_name_problem(std::string_view name);

// The names in a field such as a.b: splits at dots, except those between double quotes. None if
// something other than a dot follows quotes, or they are not closed.
std::optional<std::vector<std::string>> split_field(std::string_view field);

}  // namespace detail
}  // namespace vsearch

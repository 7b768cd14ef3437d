// Conditions on an item's metadata.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace vsearch {

struct FilterNode;  // the parsed tree; private to src/catalog

// A condition on the JSON metadata of items, parsed once and used in many searches.
//
//   colour = 'red' AND price < 50
//   articleType IN ('Shirts', 'Tshirts') OR NOT (season = 'Winter')
//   price BETWEEN 10 AND 20 AND title LIKE '%cotton%' AND tags HAS 'new' AND brand IS NOT NULL
//
// Operators: = != < <= > >= IN BETWEEN LIKE (% and _, ASCII case-insensitive) HAS (an array
// contains the value) IS NULL, IS NOT NULL, AND OR NOT and parentheses; keywords in any case.
// Values: 'text' ('' is a quote), numbers, true, false. Fields: a top-level name, quoted with
// double quotes if it is no plain word ("unit price"); a.b reaches into objects.
// A comparison with a field the item lacks, or of another type, is false (so its NOT is true). A
// field is NULL if the item lacks it or has null there. Texts are ordered by their bytes.
// Not reachable: fields whose names have a double quote, a backslash or a control character.
// Limits: 1 MiB, 500 conditions, AND, OR and NOT within each other 24 levels deep.
//
// A value; cheap to copy. Threads: immutable, usable from many threads.
class Filter {
 public:
  // Throws kInvalidArgument: the position in `expression` and what was expected there.
  static Filter parse(std::string_view expression);

  // The same as JSON: {"colour": "red", "price": {"<": 50}} means AND over the fields; a field's
  // value is a scalar (equal), an array (IN), null (IS NULL) or an object of operators "=", "!=",
  // "<", "<=", ">", ">=", "in", "between", "like", "has", "null" (true or false), which all must
  // hold; "$and": [...], "$or": [...], "$not": {...} combine. A dot in a field's name reaches into
  // objects unless the name is in double quotes of its own; {} matches every item.
  // Throws kInvalidArgument.
  static Filter from_json(std::string_view json);

  const FilterNode& root() const { return *root_; }

 private:
  explicit Filter(std::shared_ptr<const FilterNode> root) : root_(std::move(root)) {}
  std::shared_ptr<const FilterNode> root_;
};

}  // namespace vsearch

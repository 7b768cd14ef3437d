// From a parsed filter to SQL.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "catalog/filter_node.h"

namespace vsearch::detail {

struct FilterSql {
  std::string where;  // an SQL expression over the column `metadata`, 0 or 1, never NULL
  std::vector<std::variant<std::int64_t, std::string>> parameters;  // ?1, ?2, ...
};

// The path of SQLite's JSON functions to a field.
std::string json_path(const std::vector<std::string>& field);

// Nothing the user wrote gets into `where`: names and values are parameters.
FilterSql filter_to_sql(const FilterNode& root);

}  // namespace vsearch::detail

// What the parts of Store have in common.
#pragma once

#include <cstdint>

#include "catalog/edition_header.h"
#include "catalog/sqlite.h"
#include "vsearch/types.h"

namespace vsearch::db {

inline std::int64_t to_row(Id id) {
  return static_cast<std::int64_t>(id);
}
inline Id to_id(std::int64_t row) {
  return static_cast<Id>(row);
}

inline std::int64_t only_integer(Query query) {
  query.step();
  return query.integer(0);
}

// The row of an edition and the table of its embeddings; returns its id.
std::int64_t insert_edition_into(Database& database, const EditionHeader& edition);

}  // namespace vsearch::db

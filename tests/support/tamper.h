// SQL on a closed catalogue's database, as another program could run it.
#pragma once

#include <filesystem>
#include <string>

#include "catalog/sqlite.h"

namespace vsearch_test {

inline void tamper(const std::filesystem::path& database, const std::string& sql) {
  vsearch::db::Database(database, vsearch::db::Database::Mode::kOpen).execute(sql.c_str());
}

}  // namespace vsearch_test

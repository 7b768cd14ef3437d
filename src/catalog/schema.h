// The SQL schema of catalog.db, how older ones become it, and what the header of the file must say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "catalog/edition_header.h"

namespace vsearch::db {

class Database;

inline constexpr std::uint32_t kApplicationId = 0x56534348;  // "VSCH"
inline constexpr std::int64_t kSchemaVersion = 2;

// Tables and indexes by name, exactly as SQLite keeps the statements.
using Schema = std::map<std::string, std::string>;

// What every catalogue has.
Schema schema();
// The embeddings of an edition.
std::string embeddings_table(std::int64_t edition);
std::string embeddings_sql(std::int64_t edition, std::uint32_t dim);

// Throws kCorrupt unless `database` has exactly these tables and indexes.
void check_schema(Database& database, const Schema& expected);

// Brings a database of version 1 to version 2, within the caller's transaction: its embeddings
// become edition 1. Throws kCorrupt if it is not what version 1 was.
void migrate_from_1(Database& database);

// Looks at the first 100 bytes of the file, before SQLite sees it: SQLite would make an empty file
// a new database, and could write to one that is not ours.
// Throws kCorrupt (not a database, not ours, cut off), kIo.
void check_file_header(const std::filesystem::path& file);

}  // namespace vsearch::db

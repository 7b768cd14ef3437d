// The SQL schema of catalog.db, and what its header must say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace vsearch::db {

inline constexpr std::uint32_t kApplicationId = 0x56534348;  // "VSCH"
inline constexpr std::int64_t kSchemaVersion = 1;

// The tables by name, for embeddings of `dim` floats: exactly as SQLite keeps the statements.
std::map<std::string, std::string> schema(std::uint32_t dim);

// Looks at the first 100 bytes of the file, before SQLite sees it: SQLite would make an empty file
// a new database, and could write to one that is not ours.
// Throws kCorrupt (not a database, not ours, cut off), kIo.
void check_file_header(const std::filesystem::path& file);

}  // namespace vsearch::db

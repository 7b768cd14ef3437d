#include "catalog/schema.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <string_view>
#include <system_error>

#include "catalog/sqlite.h"

namespace vsearch::db {
namespace {

// Offsets in the header of a database file: https://sqlite.org/fileformat2.html#the_database_header
constexpr std::string_view kMagic("SQLite format 3\0", 16);
constexpr std::size_t kPageSize = 16;
constexpr std::size_t kWriteVersion = 18;
constexpr std::size_t kReadVersion = 19;
constexpr std::size_t kChangeCounter = 24;
constexpr std::size_t kPageCount = 28;
constexpr std::size_t kApplicationIdAt = 68;
constexpr std::size_t kVersionValidFor = 92;
constexpr std::size_t kHeaderBytes = 100;
constexpr char kWal = 2;

std::uint32_t big_endian(const char* at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(at[i]);
  return value;
}

}  // namespace

Schema schema() {
  return {
      {"meta",
       "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"},
      {"items",
       "CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, "
       "metadata TEXT NOT NULL) STRICT"},
      // The columns after content_hash stand where ALTER TABLE puts them.
      {"pictures",
       "CREATE TABLE pictures (id INTEGER PRIMARY KEY AUTOINCREMENT, "
       "item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE, "
       "position INTEGER NOT NULL, path TEXT NOT NULL, content_hash TEXT, "
       "role TEXT NOT NULL DEFAULT '', crop TEXT, file_bytes INTEGER, file_mtime_ns INTEGER, "
       "UNIQUE (item_id, position)) STRICT"},
      {"pictures_by_content",
       "CREATE INDEX pictures_by_content ON pictures (substr(content_hash, 1, 16)) "
       "WHERE content_hash IS NOT NULL"},
      {"picture_files",
       "CREATE TABLE picture_files (picture_id INTEGER PRIMARY KEY REFERENCES pictures(id) "
       "ON DELETE CASCADE, bytes BLOB NOT NULL) STRICT"},
      {"editions",
       "CREATE TABLE editions (id INTEGER PRIMARY KEY AUTOINCREMENT, "
       "state TEXT NOT NULL CHECK (state IN ('serving', 'building', 'kept')), "
       "encoder_ref TEXT NOT NULL, encoder_name TEXT NOT NULL, "
       "encoder_fingerprint TEXT NOT NULL UNIQUE, dim INTEGER NOT NULL, metric INTEGER NOT NULL, "
       "links INTEGER NOT NULL, build_breadth INTEGER NOT NULL, snapshot_current TEXT, "
       "snapshot_next TEXT) STRICT"},
      {"removals",
       "CREATE TABLE removals (picture_id INTEGER PRIMARY KEY, generation INTEGER NOT NULL) "
       "STRICT"},
      {"skipped",
       "CREATE TABLE skipped (key TEXT PRIMARY KEY, other TEXT NOT NULL, path TEXT NOT NULL, "
       "file_bytes INTEGER NOT NULL, file_mtime_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID"},
      {"fields",
       "CREATE TABLE fields (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
       "type TEXT NOT NULL CHECK (type IN ('text', 'number', 'boolean', 'tags'))) STRICT"},
      {"field_values",
       "CREATE TABLE field_values (field INTEGER NOT NULL, value ANY NOT NULL, "
       "picture INTEGER NOT NULL, PRIMARY KEY (field, value, picture)) STRICT, WITHOUT ROWID"},
  };
}

std::string embeddings_table(std::int64_t edition) {
  return fmt::format("embeddings_{}", edition);
}

// In quotes, as ALTER TABLE writes it.
std::string embeddings_sql(std::int64_t edition, std::uint32_t dim) {
  return fmt::format(
      "CREATE TABLE \"{}\" (picture_id INTEGER PRIMARY KEY REFERENCES pictures(id) "
      "ON DELETE CASCADE, vector BLOB NOT NULL CHECK (length(vector) = {})) STRICT",
      embeddings_table(edition), std::uint64_t{dim} * sizeof(float));
}

void check_schema(Database& database, const Schema& expected) {
  Schema found;
  {
    Query objects = database.query(
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' "
        "ESCAPE '~'");
    while (objects.step()) found.emplace(objects.text(0), objects.text(1));
  }
  for (const auto& [name, sql] : expected) {
    const auto object = found.find(name);
    if (object == found.end()) {
      throw_damaged(database.path(), fmt::format("the table or index {} is missing", name));
    }
    if (object->second != sql) {
      throw_damaged(database.path(),
                    fmt::format("the table or index {} is not as it was made", name));
    }
  }
  if (found.size() != expected.size()) {
    throw_damaged(database.path(), "it has tables, indexes or triggers that are not ours");
  }
}

void check_file_header(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw Error(ErrorCode::kIo, fmt::format("cannot read {}: {}; check its permissions",
                                            file.string(), std::generic_category().message(errno)));
  }
  std::array<char, kHeaderBytes> header{};
  stream.read(header.data(), header.size());
  if (stream.gcount() == 0) throw_damaged(file, "it is empty");
  const std::string_view magic(header.data(), kMagic.size());
  if (static_cast<std::size_t>(stream.gcount()) < header.size() || magic != kMagic) {
    throw_damaged(file, "it does not begin as an SQLite database does");
  }
  const auto number = [&](std::size_t at, std::size_t bytes) {
    return big_endian(header.data() + at, bytes);
  };
  if (number(kApplicationIdAt, 4) != kApplicationId || header[kWriteVersion] != kWal ||
      header[kReadVersion] != kWal) {
    throw_damaged(file, "its header is not one of a catalogue");
  }
  // What a log beside it holds may make up for pages that are missing here.
  std::error_code ignored;
  const std::filesystem::path log = file.string() + "-wal";
  if (std::filesystem::exists(log, ignored) && std::filesystem::file_size(log, ignored) > 0) return;
  const std::uint32_t page_size = number(kPageSize, 2) == 1 ? 65536 : number(kPageSize, 2);
  const std::uint64_t wanted = std::uint64_t{number(kPageCount, 4)} * page_size;
  stream.seekg(0, std::ios::end);
  const auto size = static_cast<std::uint64_t>(stream.tellg());
  if (number(kChangeCounter, 4) == number(kVersionValidFor, 4) && size < wanted) {
    throw_damaged(file, fmt::format("it is cut off: {} bytes of {} are there", size, wanted));
  }
}

}  // namespace vsearch::db

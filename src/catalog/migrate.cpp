// Older schemas, and the way from them to today's.
#include <fmt/format.h>

#include <optional>

#include "catalog/schema.h"
#include "catalog/sqlite.h"

namespace vsearch::db {
namespace {

Schema schema_1(std::int64_t dim) {
  return {
      {"meta",
       "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"},
      {"items",
       "CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, "
       "metadata TEXT NOT NULL) STRICT"},
      {"pictures",
       "CREATE TABLE pictures (id INTEGER PRIMARY KEY AUTOINCREMENT, "
       "item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE, "
       "position INTEGER NOT NULL, path TEXT NOT NULL, content_hash TEXT, "
       "UNIQUE (item_id, position)) STRICT"},
      {"embeddings", fmt::format("CREATE TABLE embeddings (picture_id INTEGER PRIMARY KEY "
                                 "REFERENCES pictures(id) ON DELETE CASCADE, "
                                 "vector BLOB NOT NULL CHECK (length(vector) = {})) STRICT",
                                 dim * static_cast<std::int64_t>(sizeof(float)))},
  };
}

std::optional<std::int64_t> dim_of_1(Database& database) {
  try {
    Query query = database.query("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'dim'");
    if (query.step()) return query.integer(0);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kInternal) throw;  // SQLite says so of a table that is not there
  }
  return std::nullopt;
}

}  // namespace

void migrate_from_1(Database& database) {
  const std::optional<std::int64_t> dim = dim_of_1(database);
  if (!dim) throw_damaged(database.path(), "the table meta is missing, or says no dim");
  check_schema(database, schema_1(*dim));
  const auto count = [&](const char* sql) {
    Query query = database.query(sql);
    query.step();
    return query.integer(0);
  };
  if (count("SELECT count(*) FROM meta WHERE key IN ('encoder_ref', 'encoder_name', "
            "'encoder_fingerprint', 'dim', 'metric', 'links', 'build_breadth')") != 7) {
    throw_damaged(database.path(), "meta lacks a part of what describes the embeddings");
  }

  database.execute(
      "ALTER TABLE pictures ADD COLUMN role TEXT NOT NULL DEFAULT '';"
      "ALTER TABLE pictures ADD COLUMN crop TEXT;"
      "ALTER TABLE pictures ADD COLUMN file_bytes INTEGER;"
      "ALTER TABLE pictures ADD COLUMN file_mtime_ns INTEGER;"
      "ALTER TABLE embeddings RENAME TO embeddings_1");
  const Schema before = schema_1(*dim);
  for (const auto& [name, sql] : schema()) {
    if (!before.contains(name) && name != "pictures_by_content") database.execute(sql.c_str());
  }
  database.execute(schema().at("pictures_by_content").c_str());
  database.execute(
      "INSERT INTO editions (state, encoder_ref, encoder_name, encoder_fingerprint, dim, metric, "
      "links, build_breadth, snapshot_current, snapshot_next) "
      "SELECT 'serving', max(value) FILTER (WHERE key = 'encoder_ref'), "
      "max(value) FILTER (WHERE key = 'encoder_name'), "
      "max(value) FILTER (WHERE key = 'encoder_fingerprint'), "
      "CAST(max(value) FILTER (WHERE key = 'dim') AS INTEGER), "
      "CAST(max(value) FILTER (WHERE key = 'metric') AS INTEGER), "
      "CAST(max(value) FILTER (WHERE key = 'links') AS INTEGER), "
      "CAST(max(value) FILTER (WHERE key = 'build_breadth') AS INTEGER), "
      "max(value) FILTER (WHERE key = 'snapshot_current'), "
      "max(value) FILTER (WHERE key = 'snapshot_next') FROM meta;"
      "DELETE FROM meta WHERE key NOT IN ('uuid', 'generation')");
  database.execute(fmt::format("PRAGMA user_version = {}", kSchemaVersion).c_str());
}

}  // namespace vsearch::db

#include "catalog/store.h"

#include <fmt/format.h>

#include <charconv>

#include "catalog/schema.h"
#include "catalog/store_rows.h"

namespace vsearch::db {

void Store::create(const std::filesystem::path& file, const std::string& uuid,
                   const EditionHeader& edition) {
  Database database(file, Database::Mode::kCreate);
  database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  Transaction transaction(database);
  database.execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                               kApplicationId, kSchemaVersion)
                       .c_str());
  // An index comes after its table, in the order of their names, too.
  for (const auto& [name, sql] : schema()) database.execute(sql.c_str());
  database.run("INSERT INTO meta (key, value) VALUES ('uuid', ?1), ('generation', '0')",
               std::string_view(uuid));
  insert_edition_into(database, edition);
  transaction.commit();
  // Closing does this, too, but does not say when it fails, and the header would not be there.
  Query checkpoint = database.query("PRAGMA wal_checkpoint(TRUNCATE)");
  checkpoint.step();
}

Store::Store(const std::filesystem::path& file)
    : database_((check_file_header(file), file), Database::Mode::kOpen) {
  // Until it is known to be sound, nothing may be written to it, not even by closing it.
  database_.checkpoint_on_close(false);
  try {
    verify();
  } catch (const Error& e) {
    // What SQLite says of nonsense in the schema is no defect of ours.
    if (e.code() == ErrorCode::kInternal) throw_damaged(file, e.what());
    throw;
  }
  database_.checkpoint_on_close(true);
}

void Store::verify() {
  database_.execute(
      "PRAGMA locking_mode = EXCLUSIVE;"
      "PRAGMA synchronous = FULL;"
      "PRAGMA foreign_keys = ON;"
      // A batch changes pages all over the file. With the usual 2 MB of cache and a checkpoint
      // every 4 MB they would be written out and read again within a batch.
      "PRAGMA cache_size = -65536;"         // in KiB
      "PRAGMA wal_autocheckpoint = 16384;"  // in pages
      "BEGIN EXCLUSIVE; COMMIT");           // takes the lock now, not with the first write
  const std::int64_t version = only_integer(database_.query("PRAGMA user_version"));
  if (version > kSchemaVersion) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("{}: written by a newer libvsearch (schema {}, this one knows {}); "
                            "use that version or a newer one",
                            database_.path().string(), version, kSchemaVersion));
  }
  if (version == 1) {
    Transaction transaction(database_);
    migrate_from_1(database_);
    transaction.commit();
    database_.forget_statements();
  } else if (version != kSchemaVersion) {
    throw_damaged(database_.path(), "it has no schema version");
  }
  Schema expected = schema();
  // Before it is known that there is such a table.
  if (only_integer(database_.query(
          "SELECT count(*) FROM sqlite_schema WHERE name = 'editions' AND type = 'table'")) != 1) {
    throw_damaged(database_.path(), "the table editions is missing");
  }
  for (const EditionHeader& edition : editions()) {
    expected.emplace(embeddings_table(edition.id), embeddings_sql(edition.id, edition.dim));
  }
  check_schema(database_, expected);
  serving();
  if (!meta("uuid")) throw_damaged(database_.path(), "meta has no uuid");
  generation();
  last_picture_id();
  fields_.emplace(database_);
}

std::uint64_t Store::number_meta(std::string_view key, std::uint64_t most) {
  const std::optional<std::string> text = meta(key);
  if (!text) throw_damaged(database_.path(), fmt::format("meta has no {}", key));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value > most) {
    throw_damaged(database_.path(), fmt::format("meta has {} for {}", *text, key));
  }
  return value;
}

std::uint64_t Store::generation() {
  return number_meta("generation", UINT64_MAX);
}

void Store::next_generation() {
  set_meta("generation", fmt::to_string(generation() + 1));
}

std::optional<std::string> Store::meta(std::string_view key) {
  Query query = database_.query("SELECT value FROM meta WHERE key = ?1");
  query.bind(key);
  if (!query.step()) return std::nullopt;
  return std::string(query.text(0));
}

void Store::set_meta(std::string_view key, std::string_view value) {
  database_.run(
      "INSERT INTO meta (key, value) VALUES (?1, ?2) "
      "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      key, value);
}

}  // namespace vsearch::db

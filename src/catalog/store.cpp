#include "catalog/store.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstring>

#include "catalog/schema.h"

namespace vsearch::db {
namespace {

static_assert(std::endian::native == std::endian::little,
              "embeddings are stored as little-endian floats and copied as they are");

std::int64_t to_row(Id id) {
  return static_cast<std::int64_t>(id);
}
Id to_id(std::int64_t row) {
  return static_cast<Id>(row);
}

std::int64_t only_integer(Query query) {
  query.step();
  return query.integer(0);
}

}  // namespace

void Store::create(const std::filesystem::path& file, const StoreHeader& header) {
  Database database(file, Database::Mode::kCreate);
  database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  Transaction transaction(database);
  database.execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                               kApplicationId, kSchemaVersion)
                       .c_str());
  for (const auto& [name, sql] : schema(header.dim)) database.execute(sql.c_str());
  const auto set = [&](std::string_view key, const std::string& value) {
    database.run("INSERT INTO meta (key, value) VALUES (?1, ?2)", key, std::string_view(value));
  };
  set("uuid", header.uuid);
  set("encoder_ref", header.encoder_ref);
  set("encoder_name", header.encoder_name);
  set("encoder_fingerprint", header.encoder_fingerprint);
  set("dim", fmt::to_string(header.dim));
  set("metric", fmt::to_string(static_cast<std::uint32_t>(header.metric)));
  set("links", fmt::to_string(header.links));
  set("build_breadth", fmt::to_string(header.build_breadth));
  set("generation", "0");
  transaction.commit();
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
      "BEGIN EXCLUSIVE; COMMIT");  // takes the lock now, not with the first write
  const std::int64_t version = only_integer(database_.query("PRAGMA user_version"));
  if (version > kSchemaVersion) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("{}: written by a newer libvsearch (schema {}, this one knows {}); "
                            "use that version or a newer one",
                            database_.path().string(), version, kSchemaVersion));
  }
  if (version != kSchemaVersion) throw_damaged(database_.path(), "it has no schema version");

  std::map<std::string, std::string> found;
  {
    Query tables = database_.query(
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' "
        "ESCAPE '~'");
    while (tables.step()) found.emplace(tables.text(0), tables.text(1));
  }
  if (!found.contains("meta")) throw_damaged(database_.path(), "the table meta is missing");
  header_.dim = static_cast<std::uint32_t>(number_meta("dim", UINT32_MAX));
  for (const auto& [name, sql] : schema(header_.dim)) {
    const auto table = found.find(name);
    if (table == found.end()) {
      throw_damaged(database_.path(), fmt::format("the table {} is missing", name));
    }
    if (table->second != sql) {
      throw_damaged(database_.path(), fmt::format("the table {} is not as it was made", name));
    }
  }
  if (found.size() != schema(header_.dim).size()) {
    throw_damaged(database_.path(), "it has tables, indexes or triggers that are not ours");
  }
  header_.uuid = required_meta("uuid");
  header_.encoder_ref = required_meta("encoder_ref");
  header_.encoder_name = required_meta("encoder_name");
  header_.encoder_fingerprint = required_meta("encoder_fingerprint");
  header_.metric =
      static_cast<Metric>(number_meta("metric", static_cast<std::uint32_t>(Metric::kL2)));
  header_.links = static_cast<std::uint32_t>(number_meta("links", UINT32_MAX));
  header_.build_breadth = static_cast<std::uint32_t>(number_meta("build_breadth", UINT32_MAX));
  generation();
}

std::string Store::required_meta(std::string_view key) {
  std::optional<std::string> value = meta(key);
  if (!value) throw_damaged(database_.path(), fmt::format("meta has no {}", key));
  return *std::move(value);
}

std::uint64_t Store::number_meta(std::string_view key, std::uint64_t most) {
  const std::string text = required_meta(key);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > most) {
    throw_damaged(database_.path(), fmt::format("meta has {} for {}", text, key));
  }
  return value;
}

std::uint64_t Store::generation() {
  return number_meta("generation", UINT64_MAX);
}

std::uint64_t Store::item_count() {
  return to_id(only_integer(database_.query("SELECT count(*) FROM items")));
}

std::uint64_t Store::picture_count() {
  return to_id(only_integer(database_.query("SELECT count(*) FROM pictures")));
}

std::int64_t Store::last_item_id() {
  return only_integer(database_.query("SELECT ifnull(max(id), 0) FROM items"));
}

Id Store::last_picture_id() {
  // Both, so that damage to the first cannot make an id be given twice.
  return to_id(only_integer(
      database_.query("SELECT max(ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'pictures'),"
                      " 0), ifnull((SELECT max(id) FROM pictures), 0))")));
}

std::vector<std::string> Store::keys() {
  std::vector<std::string> result;
  Query query = database_.query("SELECT key FROM items ORDER BY key");
  while (query.step()) result.emplace_back(query.text(0));
  return result;
}

std::optional<StoredItem> Store::item(std::string_view key) {
  StoredItem item;
  {
    Query query = database_.query("SELECT id, metadata FROM items WHERE key = ?1");
    query.bind(key);
    if (!query.step()) return std::nullopt;
    item.id = query.integer(0);
    item.metadata = query.text(1);
  }
  Query query = database_.query(
      "SELECT id, path, content_hash FROM pictures WHERE item_id = ?1 ORDER BY position");
  query.bind(item.id);
  while (query.step()) {
    item.pictures.push_back(
        {to_id(query.integer(0)), std::string(query.text(1)), std::string(query.text(2))});
  }
  return item;
}

std::optional<PictureRecord> Store::picture(Id id) {
  Query query = database_.query(
      "SELECT items.key, pictures.path, items.metadata FROM pictures "
      "JOIN items ON items.id = pictures.item_id WHERE pictures.id = ?1");
  query.bind(to_row(id));
  if (!query.step()) return std::nullopt;
  return PictureRecord{id, std::string(query.text(0)), std::string(query.text(1)),
                       std::string(query.text(2))};
}

std::vector<Id> Store::picture_ids() {
  std::vector<Id> ids;
  Query query = database_.query("SELECT id FROM pictures ORDER BY id");
  while (query.step()) ids.push_back(to_id(query.integer(0)));
  return ids;
}

std::vector<Id> Store::matching_pictures(const detail::FilterSql& filter, std::int64_t first,
                                         std::int64_t last) {
  // CROSS JOIN: the condition is looked at once an item, not once a picture.
  const std::size_t n = filter.parameters.size();
  Query query = database_.query_once(fmt::format(
      "SELECT pictures.id FROM items CROSS JOIN pictures ON pictures.item_id = items.id "
      "WHERE items.id BETWEEN ?{} AND ?{} AND {}",
      n + 1, n + 2, filter.where));
  for (const auto& parameter : filter.parameters) {
    std::visit([&](const auto& value) { query.bind(value); }, parameter);
  }
  query.bind(first).bind(last);
  std::vector<Id> ids;
  while (query.step()) ids.push_back(to_id(query.integer(0)));
  return ids;
}

std::vector<float> Store::floats(std::span<const std::byte> blob, Id picture) const {
  if (blob.size() != header_.dim * sizeof(float)) {
    throw_damaged(database_.path(), fmt::format("the embedding of picture {} has {} bytes, not {}",
                                                picture, blob.size(), header_.dim * sizeof(float)));
  }
  std::vector<float> result(header_.dim);
  std::memcpy(result.data(), blob.data(), blob.size());
  return result;
}

std::vector<float> Store::embedding(Id picture) {
  Query query = database_.query("SELECT vector FROM embeddings WHERE picture_id = ?1");
  query.bind(to_row(picture));
  if (!query.step()) {
    throw_damaged(database_.path(), fmt::format("picture {} has no embedding", picture));
  }
  return floats(query.blob(0), picture);
}

std::vector<float> Store::embedding_of_content(std::string_view key,
                                               std::string_view content_hash) {
  Query query = database_.query(
      "SELECT pictures.id, embeddings.vector FROM items "
      "JOIN pictures ON pictures.item_id = items.id "
      "JOIN embeddings ON embeddings.picture_id = pictures.id "
      "WHERE items.key = ?1 AND pictures.content_hash = ?2 LIMIT 1");
  query.bind(key).bind(content_hash);
  if (!query.step()) return {};
  return floats(query.blob(1), to_id(query.integer(0)));
}

std::int64_t Store::insert_item(std::string_view key, std::string_view metadata) {
  Query query = database_.query("INSERT INTO items (key, metadata) VALUES (?1, ?2) RETURNING id");
  query.bind(key).bind(metadata);
  query.step();
  const std::int64_t id = query.integer(0);
  query.step();
  return id;
}

void Store::set_metadata(std::int64_t item, std::string_view metadata) {
  database_.run("UPDATE items SET metadata = ?2 WHERE id = ?1", item, metadata);
}

void Store::delete_item(std::int64_t item) {
  database_.run("DELETE FROM items WHERE id = ?1", item);
}

void Store::delete_pictures(std::int64_t item) {
  database_.run("DELETE FROM pictures WHERE item_id = ?1", item);
}

void Store::insert_picture(Id id, std::int64_t item, std::size_t position, std::string_view path,
                           std::string_view content_hash, std::span<const float> embedding) {
  database_.run(
      "INSERT INTO pictures (id, item_id, position, path, content_hash) "
      "VALUES (?1, ?2, ?3, ?4, nullif(?5, ''))",
      to_row(id), item, static_cast<std::int64_t>(position), path, content_hash);
  database_.run("INSERT INTO embeddings (picture_id, vector) VALUES (?1, ?2)", to_row(id),
                std::as_bytes(embedding));
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

void Store::delete_meta(std::string_view key) {
  database_.run("DELETE FROM meta WHERE key = ?1", key);
}

}  // namespace vsearch::db

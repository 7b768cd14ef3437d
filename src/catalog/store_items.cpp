// Items and their pictures.
#include <fmt/format.h>

#include "catalog/store.h"
#include "catalog/store_rows.h"

namespace vsearch::db {
namespace {

// id, path, role, crop, content_hash, file_bytes, file_mtime_ns, from column `first` on.
StoredPicture read_picture(const Query& query, int first) {
  return {to_id(query.integer(first)),        std::string(query.text(first + 1)),
          std::string(query.text(first + 2)), std::string(query.text(first + 3)),
          std::string(query.text(first + 4)), {query.integer(first + 5), query.integer(first + 6)}};
}

}  // namespace

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

std::vector<StoredPicture> Store::pictures_of(std::int64_t item) {
  std::vector<StoredPicture> pictures;
  Query query = database_.query(
      "SELECT id, path, role, crop, content_hash, file_bytes, file_mtime_ns FROM pictures "
      "WHERE item_id = ?1 ORDER BY position");
  query.bind(item);
  while (query.step()) pictures.push_back(read_picture(query, 0));
  return pictures;
}

std::optional<StoredMetadata> Store::row_of(std::string_view key) {
  Query query = database_.query("SELECT id, metadata FROM items WHERE key = ?1");
  query.bind(key);
  if (!query.step()) return std::nullopt;
  return StoredMetadata{query.integer(0), std::string(query.text(1)), {}};
}

std::optional<StoredItem> Store::item(std::string_view key) {
  std::optional<StoredMetadata> row = row_of(key);
  if (!row) return std::nullopt;
  return StoredItem{row->id, std::string(key), std::move(row->metadata), pictures_of(row->id)};
}

std::optional<StoredMetadata> Store::metadata_of(std::string_view key) {
  std::optional<StoredMetadata> item = row_of(key);
  if (!item) return std::nullopt;
  Query query = database_.query("SELECT id FROM pictures WHERE item_id = ?1");  // in an index
  query.bind(item->id);
  while (query.step()) item->pictures.push_back(to_id(query.integer(0)));
  return item;
}

std::vector<StoredItem> Store::items_after(std::string_view after) {
  constexpr std::int64_t kMost = 256;
  std::vector<StoredItem> items;
  {
    Query query =
        database_.query("SELECT id, key, metadata FROM items WHERE key > ?1 ORDER BY key LIMIT ?2");
    query.bind(after).bind(kMost);
    while (query.step()) {
      items.push_back(
          {query.integer(0), std::string(query.text(1)), std::string(query.text(2)), {}});
    }
  }
  for (StoredItem& item : items) item.pictures = pictures_of(item.id);
  return items;
}

std::optional<PictureRecord> Store::picture(Id id) {
  Query query = database_.query(
      "SELECT items.key, pictures.path, pictures.role, items.metadata FROM pictures "
      "JOIN items ON items.id = pictures.item_id WHERE pictures.id = ?1");
  query.bind(to_row(id));
  if (!query.step()) return std::nullopt;
  return PictureRecord{id, std::string(query.text(0)), std::string(query.text(1)),
                       std::string(query.text(2)), std::string(query.text(3))};
}

std::vector<Id> Store::picture_ids() {
  std::vector<Id> ids;
  Query query = database_.query("SELECT id FROM pictures ORDER BY id");
  while (query.step()) ids.push_back(to_id(query.integer(0)));
  return ids;
}

std::vector<std::pair<StoredPicture, std::string>> Store::pictures_after(Id after,
                                                                         std::size_t limit) {
  std::vector<std::pair<StoredPicture, std::string>> result;
  Query query = database_.query(
      "SELECT pictures.id, path, role, crop, content_hash, file_bytes, file_mtime_ns, items.key "
      "FROM pictures JOIN items ON items.id = pictures.item_id "
      "WHERE pictures.id > ?1 ORDER BY pictures.id LIMIT ?2");
  query.bind(to_row(after)).bind(static_cast<std::int64_t>(limit));
  while (query.step()) result.emplace_back(read_picture(query, 0), query.text(7));
  return result;
}

std::optional<std::pair<StoredPicture, std::string>> Store::picture_and_key(Id id) {
  auto found = pictures_after(id - 1, 1);
  if (found.empty() || found[0].first.id != id) return std::nullopt;
  return std::move(found[0]);
}

std::vector<std::byte> Store::kept_bytes(Id picture) {
  Query query = database_.query("SELECT bytes FROM picture_files WHERE picture_id = ?1");
  query.bind(to_row(picture));
  if (!query.step()) return {};
  const std::span<const std::byte> bytes = query.blob(0);
  return {bytes.begin(), bytes.end()};
}

std::uint64_t Store::kept_length(Id picture) {
  Query query = database_.query("SELECT length(bytes) FROM picture_files WHERE picture_id = ?1");
  query.bind(to_row(picture));
  return query.step() ? to_id(query.integer(0)) : 0;
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

// So that an index that was saved before can be told.
void Store::note_removals(std::int64_t item) {
  database_.run(
      "INSERT OR REPLACE INTO removals (picture_id, generation) "
      "SELECT id, ?2 FROM pictures WHERE item_id = ?1",
      item, static_cast<std::int64_t>(generation() + 1));
}

void Store::delete_item(std::int64_t item) {
  note_removals(item);
  database_.run("DELETE FROM items WHERE id = ?1", item);
}

void Store::delete_pictures(std::int64_t item) {
  note_removals(item);
  database_.run("DELETE FROM pictures WHERE item_id = ?1", item);
}

void Store::insert_picture(std::int64_t item, std::size_t position, const NewPicture& row) {
  const StoredPicture& picture = row.picture;
  Query query = database_.query(
      "INSERT INTO pictures (id, item_id, position, path, content_hash, role, crop, file_bytes, "
      "file_mtime_ns) VALUES (?1, ?2, ?3, ?4, nullif(?5, ''), ?6, nullif(?7, ''), nullif(?8, 0), "
      "nullif(?9, 0))");
  query.bind(to_row(picture.id)).bind(item).bind(static_cast<std::int64_t>(position));
  query.bind(picture.path).bind(picture.content_hash).bind(picture.role).bind(picture.crop);
  query.bind(picture.stamp.bytes).bind(picture.stamp.mtime_ns);
  query.step();
  if (row.kept_bytes.empty()) return;
  database_.run("INSERT INTO picture_files (picture_id, bytes) VALUES (?1, ?2)", to_row(picture.id),
                row.kept_bytes);
}

void Store::update_picture(Id id, std::string_view path, std::string_view role,
                           const FileStamp& stamp) {
  database_.run(
      "UPDATE pictures SET path = ?2, role = ?3, file_bytes = nullif(?4, 0), "
      "file_mtime_ns = nullif(?5, 0) WHERE id = ?1",
      to_row(id), path, role, stamp.bytes, stamp.mtime_ns);
}

void SkippedItem::add_picture(std::string_view path, std::string_view crop, const FileStamp& file) {
  if (!pictures.empty()) pictures += '\n';
  pictures += path;
  if (!crop.empty()) pictures += fmt::format(" {}", crop);
  // Unsigned, since it may wrap around.
  const auto fold = [](std::int64_t all, std::int64_t one) {
    constexpr std::uint64_t kFactor = 1'000'003;
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(all) * kFactor +
                                     static_cast<std::uint64_t>(one));
  };
  stamp = {fold(stamp.bytes, file.bytes), fold(stamp.mtime_ns, file.mtime_ns)};
}

std::optional<SkippedItem> Store::skipped(std::string_view key) {
  Query query =
      database_.query("SELECT other, path, file_bytes, file_mtime_ns FROM skipped WHERE key = ?1");
  query.bind(key);
  if (!query.step()) return std::nullopt;
  return SkippedItem{std::string(key),
                     std::string(query.text(0)),
                     std::string(query.text(1)),
                     {query.integer(2), query.integer(3)}};
}

std::vector<std::string> Store::skipped_keys(std::string_view prefix) {
  std::vector<std::string> keys;
  Query query = database_.query("SELECT key FROM skipped WHERE key >= ?1 ORDER BY key");
  query.bind(prefix);
  while (query.step() && query.text(0).starts_with(prefix)) keys.emplace_back(query.text(0));
  return keys;
}

void Store::set_skipped(const SkippedItem& item) {
  database_.run(
      "INSERT OR REPLACE INTO skipped (key, other, path, file_bytes, file_mtime_ns) "
      "VALUES (?1, ?2, ?3, ?4, ?5)",
      std::string_view(item.key), std::string_view(item.other), std::string_view(item.pictures),
      item.stamp.bytes, item.stamp.mtime_ns);
}

void Store::forget_skipped(std::string_view key) {
  database_.run("DELETE FROM skipped WHERE key = ?1", key);
}

}  // namespace vsearch::db

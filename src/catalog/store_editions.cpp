// Editions and their embeddings.
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>

#include "catalog/schema.h"
#include "catalog/store.h"
#include "catalog/store_rows.h"

namespace vsearch::db {
namespace {

static_assert(std::endian::native == std::endian::little,
              "embeddings are stored as little-endian floats and copied as they are");

constexpr std::array kStates = {EditionState::kServing, EditionState::kBuilding,
                                EditionState::kKept};

EditionState state_called(std::string_view name, const std::filesystem::path& file) {
  for (const EditionState state : kStates) {
    if (edition_state_name(state) == name) return state;
  }
  throw_damaged(file, fmt::format("an edition is in the state {}", name));
}

}  // namespace

std::int64_t insert_edition_into(Database& database, const EditionHeader& edition) {
  std::int64_t id = 0;
  {
    Query query = database.query(
        "INSERT INTO editions (state, encoder_ref, encoder_name, encoder_fingerprint, dim, metric, "
        "links, build_breadth) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id");
    query.bind(edition_state_name(edition.state))
        .bind(edition.encoder_ref)
        .bind(edition.encoder_name)
        .bind(edition.encoder_fingerprint);
    query.bind(std::int64_t{edition.dim})
        .bind(static_cast<std::int64_t>(edition.metric))
        .bind(std::int64_t{edition.links})
        .bind(std::int64_t{edition.build_breadth});
    query.step();
    id = query.integer(0);
    query.step();
  }
  database.execute(embeddings_sql(id, edition.dim).c_str());
  return id;
}

std::vector<EditionHeader> Store::editions() {
  std::vector<EditionHeader> editions;
  Query query = database_.query(
      "SELECT id, state, encoder_ref, encoder_name, encoder_fingerprint, dim, metric, links, "
      "build_breadth FROM editions ORDER BY id");
  const auto number = [&](int column, std::string_view name, std::int64_t most = UINT32_MAX) {
    const std::int64_t value = query.integer(column);
    if (value < 0 || value > most) {
      throw_damaged(database_.path(), fmt::format("an edition has {} as its {}", value, name));
    }
    return static_cast<std::uint32_t>(value);
  };
  while (query.step()) {
    editions.push_back(
        {query.integer(0), state_called(query.text(1), database_.path()),
         std::string(query.text(2)), std::string(query.text(3)), std::string(query.text(4)),
         number(5, "dim"),
         static_cast<Metric>(number(6, "metric", static_cast<std::int64_t>(Metric::kL2))),
         number(7, "links"), number(8, "build_breadth")});
  }
  return editions;
}

EditionHeader Store::serving() {
  std::optional<EditionHeader> found;
  for (EditionHeader& edition : editions()) {
    if (edition.state != EditionState::kServing) continue;
    if (found) throw_damaged(database_.path(), "two editions are said to be serving");
    found = std::move(edition);
  }
  if (!found) throw_damaged(database_.path(), "no edition is said to be serving");
  return *std::move(found);
}

bool Store::has_edition(std::int64_t edition) {
  Query query = database_.query("SELECT 1 FROM editions WHERE id = ?1");
  query.bind(edition);
  return query.step();
}

SnapshotStamps Store::stamps(std::int64_t edition) {
  Query query =
      database_.query("SELECT snapshot_current, snapshot_next FROM editions WHERE id = ?1");
  query.bind(edition);
  if (!query.step()) return {};
  return {std::string(query.text(0)), std::string(query.text(1))};
}

void Store::set_stamps(std::int64_t edition, const SnapshotStamps& stamps) {
  database_.run(
      "UPDATE editions SET snapshot_current = nullif(?2, ''), snapshot_next = nullif(?3, '') "
      "WHERE id = ?1",
      edition, std::string_view(stamps.current), std::string_view(stamps.next));
}

std::uint64_t Store::embedding_count(std::int64_t edition) {
  return to_id(only_integer(
      database_.query(fmt::format("SELECT count(*) FROM {}", embeddings_table(edition)).c_str())));
}

std::vector<float> Store::floats(std::span<const std::byte> blob, std::uint32_t dim,
                                 Id picture) const {
  if (blob.size() != dim * sizeof(float)) {
    throw_damaged(database_.path(), fmt::format("the embedding of picture {} has {} bytes, not {}",
                                                picture, blob.size(), dim * sizeof(float)));
  }
  std::vector<float> result(dim);
  std::memcpy(result.data(), blob.data(), blob.size());
  return result;
}

std::vector<float> Store::find_embedding(const EditionHeader& edition, Id picture) {
  Query query = database_.query(
      fmt::format("SELECT vector FROM {} WHERE picture_id = ?1", embeddings_table(edition.id))
          .c_str());
  query.bind(to_row(picture));
  if (!query.step()) return {};
  return floats(query.blob(0), edition.dim, picture);
}

std::vector<float> Store::embedding(const EditionHeader& edition, Id picture) {
  std::vector<float> found = find_embedding(edition, picture);
  if (found.empty()) {
    throw_damaged(database_.path(), fmt::format("picture {} has no embedding", picture));
  }
  return found;
}

std::vector<float> Store::embedding_of_content(const EditionHeader& edition,
                                               std::string_view content_hash,
                                               std::string_view crop) {
  // The plus keeps SQLite from putting the whole hash into the index expression, for which it would
  // not use the index.
  Query query = database_.query(
      fmt::format(
          "SELECT pictures.id, embeddings.vector FROM pictures "
          "JOIN {} AS embeddings ON embeddings.picture_id = pictures.id "
          "WHERE substr(content_hash, 1, 16) = substr(?1, 1, 16) AND content_hash IS NOT NULL "
          "AND +content_hash = ?1 AND ifnull(crop, '') = ?2 LIMIT 1",
          embeddings_table(edition.id))
          .c_str());
  query.bind(content_hash).bind(crop);
  if (!query.step()) return {};
  return floats(query.blob(1), edition.dim, to_id(query.integer(0)));
}

std::vector<Id> Store::embedded_ids(std::int64_t edition, Id after) {
  std::vector<Id> ids;
  Query query =
      database_.query(fmt::format("SELECT picture_id FROM {} WHERE picture_id > ?1 ORDER BY 1",
                                  embeddings_table(edition))
                          .c_str());
  query.bind(to_row(after));
  while (query.step()) ids.push_back(to_id(query.integer(0)));
  return ids;
}

std::vector<Id> Store::unembedded_ids(std::int64_t edition, Id after, std::size_t limit) {
  std::vector<Id> ids;
  Query query = database_.query(
      fmt::format("SELECT id FROM pictures WHERE id > ?1 AND NOT EXISTS "
                  "(SELECT 1 FROM {} WHERE picture_id = pictures.id) ORDER BY id LIMIT ?2",
                  embeddings_table(edition))
          .c_str());
  query.bind(to_row(after)).bind(static_cast<std::int64_t>(limit));
  while (query.step()) ids.push_back(to_id(query.integer(0)));
  return ids;
}

std::vector<Id> Store::removals() {
  std::vector<Id> ids;
  Query query = database_.query("SELECT picture_id FROM removals ORDER BY picture_id");
  while (query.step()) ids.push_back(to_id(query.integer(0)));
  return ids;
}

std::int64_t Store::insert_edition(const EditionHeader& edition) {
  return insert_edition_into(database_, edition);
}

void Store::set_edition_state(std::int64_t edition, EditionState state) {
  database_.run("UPDATE editions SET state = ?2 WHERE id = ?1", edition, edition_state_name(state));
}

void Store::set_edition_encoder_ref(std::int64_t edition, std::string_view encoder_ref) {
  database_.run("UPDATE editions SET encoder_ref = ?2 WHERE id = ?1", edition, encoder_ref);
}

void Store::delete_edition(std::int64_t edition) {
  database_.forget_statements();
  database_.execute(fmt::format("DROP TABLE {}", embeddings_table(edition)).c_str());
  database_.run("DELETE FROM editions WHERE id = ?1", edition);
}

void Store::insert_embedding(std::int64_t edition, Id picture, std::span<const float> embedding) {
  database_.run(
      fmt::format("INSERT INTO {} (picture_id, vector) VALUES (?1, ?2)", embeddings_table(edition))
          .c_str(),
      to_row(picture), std::as_bytes(embedding));
}

void Store::delete_removals(std::uint64_t last_generation) {
  database_.run("DELETE FROM removals WHERE generation <= ?1",
                static_cast<std::int64_t>(last_generation));
}

}  // namespace vsearch::db

// What looks after the store.
#include <fmt/format.h>

#include <array>

#include "catalog/picture_file.h"
#include "catalog/schema.h"
#include "catalog/store.h"
#include "catalog/store_rows.h"

namespace vsearch::db {
namespace {

// Of rows whose table has no foreign key, or is kept clean by something else: which there should
// not be.
struct Stray {
  const char* name;
  const char* count;
  const char* remove;
};
constexpr std::array kStrays = {
    Stray{"field_values -> pictures",
          "SELECT count(*) FROM field_values WHERE picture NOT IN (SELECT id FROM pictures)",
          "DELETE FROM field_values WHERE picture NOT IN (SELECT id FROM pictures)"},
    Stray{"field_values -> fields",
          "SELECT count(*) FROM field_values WHERE field NOT IN (SELECT id FROM fields)",
          "DELETE FROM field_values WHERE field NOT IN (SELECT id FROM fields)"},
    Stray{"removals -> removed pictures",
          "SELECT count(*) FROM removals WHERE picture_id IN (SELECT id FROM pictures)",
          "DELETE FROM removals WHERE picture_id IN (SELECT id FROM pictures)"},
};

Finding found(Query query) {
  query.step();
  return {to_id(query.integer(0)), std::string(query.text(1))};
}

}  // namespace

std::vector<std::string> Store::integrity_problems() {
  std::vector<std::string> problems;
  Query query = database_.query("PRAGMA integrity_check(10)");
  while (query.step()) {
    if (query.text(0) != "ok") problems.emplace_back(query.text(0));
  }
  return problems;
}

std::vector<std::pair<std::string, std::uint64_t>> Store::orphans() {
  std::vector<std::pair<std::string, std::uint64_t>> result;
  const auto note = [&](std::string name, std::uint64_t rows) {
    if (!result.empty() && result.back().first == name) {
      result.back().second += rows;
    } else if (rows > 0) {
      result.emplace_back(std::move(name), rows);
    }
  };
  {
    Query query = database_.query("PRAGMA foreign_key_check");
    while (query.step()) note(fmt::format("{} -> {}", query.text(0), query.text(2)), 1);
  }
  for (const Stray& stray : kStrays) {
    note(stray.name, to_id(only_integer(database_.query(stray.count))));
  }
  return result;
}

Finding Store::items_without_pictures() {
  return found(
      database_.query("SELECT count(*), min(key) FROM items WHERE NOT EXISTS "
                      "(SELECT 1 FROM pictures WHERE item_id = items.id)"));
}

Finding Store::items_with_bad_positions() {
  return found(
      database_.query("SELECT count(*), min(key) FROM items JOIN "
                      "(SELECT item_id FROM pictures GROUP BY item_id "
                      "HAVING min(position) <> 0 OR max(position) <> count(*) - 1) "
                      "ON item_id = items.id"));
}

Finding Store::items_with_bad_metadata() {
  return found(
      database_.query("SELECT count(*), min(key) FROM items WHERE CASE WHEN json_valid(metadata) "
                      "THEN json_type(metadata) <> 'object' ELSE 1 END"));
}

Finding Store::items_without_embedding(std::int64_t edition) {
  return found(database_.query(
      fmt::format("SELECT count(*), min(key) FROM pictures JOIN items ON items.id = item_id "
                  "WHERE NOT EXISTS (SELECT 1 FROM {} WHERE picture_id = pictures.id)",
                  embeddings_table(edition))
          .c_str()));
}

Finding Store::items_with_bad_crops() {
  Finding bad;
  Query query = database_.query(
      "SELECT crop, key FROM pictures JOIN items ON items.id = item_id WHERE crop IS NOT NULL");
  while (query.step()) {
    try {
      detail::parse_crop(query.text(0), database_.path());
    } catch (const Error&) {
      if (bad.count++ == 0) bad.key = query.text(1);
    }
  }
  return bad;
}

void Store::delete_orphans() {
  // An index that was saved before has to know which pictures go.
  database_.run(
      "INSERT OR REPLACE INTO removals (picture_id, generation) SELECT id, ?1 FROM pictures "
      "WHERE item_id NOT IN (SELECT id FROM items)",
      static_cast<std::int64_t>(generation() + 1));
  database_.run("DELETE FROM pictures WHERE item_id NOT IN (SELECT id FROM items)");
  database_.run("DELETE FROM picture_files WHERE picture_id NOT IN (SELECT id FROM pictures)");
  for (const EditionHeader& edition : editions()) {
    const std::string orphaned = fmt::format("{} WHERE picture_id NOT IN (SELECT id FROM pictures)",
                                             embeddings_table(edition.id));
    database_.run(fmt::format("INSERT OR REPLACE INTO removals (picture_id, generation) "
                              "SELECT picture_id, ?1 FROM {}",
                              orphaned)
                      .c_str(),
                  static_cast<std::int64_t>(generation() + 1));
    database_.run(fmt::format("DELETE FROM {}", orphaned).c_str());
  }
  for (const Stray& stray : kStrays) database_.run(stray.remove);
  next_generation();
}

void Store::vacuum() {
  database_.forget_statements();
  database_.settle();
  database_.execute("PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
}

std::vector<std::pair<std::int64_t, Id>> Store::item_pictures(std::int64_t first,
                                                              std::int64_t last) {
  std::vector<std::pair<std::int64_t, Id>> result;
  Query query = database_.query(
      "SELECT item_id, id FROM pictures WHERE item_id BETWEEN ?1 AND ?2 "
      "ORDER BY item_id, position");
  query.bind(first).bind(last);
  while (query.step()) result.emplace_back(query.integer(0), to_id(query.integer(1)));
  return result;
}

std::vector<std::pair<Id, Id>> Store::same_contents(std::string& after, std::size_t limit) {
  std::vector<std::string> beginnings;
  {
    Query query = database_.query(
        "SELECT substr(content_hash, 1, 16) FROM pictures WHERE content_hash IS NOT NULL "
        "AND substr(content_hash, 1, 16) > ?1 GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT ?2");
    query.bind(after).bind(static_cast<std::int64_t>(limit));
    while (query.step()) beginnings.emplace_back(query.text(0));
  }
  after = beginnings.empty() ? std::string() : beginnings.back();
  std::vector<std::pair<Id, Id>> same;
  for (const std::string& beginning : beginnings) {
    Query query = database_.query(
        "SELECT id, content_hash, ifnull(crop, '') FROM pictures "
        "WHERE content_hash IS NOT NULL AND substr(content_hash, 1, 16) = ?1 ORDER BY 2, 3, 1");
    query.bind(beginning);
    std::string hash;
    std::string crop;
    Id before = 0;
    while (query.step()) {
      const Id id = to_id(query.integer(0));
      if (hash == query.text(1) && crop == query.text(2)) same.emplace_back(before, id);
      hash = query.text(1);
      crop = query.text(2);
      before = id;
    }
  }
  return same;
}

std::optional<std::string> Store::key_of(std::int64_t item) {
  Query query = database_.query("SELECT key FROM items WHERE id = ?1");
  query.bind(item);
  if (!query.step()) return std::nullopt;
  return std::string(query.text(0));
}

}  // namespace vsearch::db

// Items with metadata and numbered pictures in a database of their own: what filters work on.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/fields.h"
#include "catalog/filter_sql.h"
#include "catalog/sqlite.h"
#include "vsearch/filter.h"

namespace vsearch_test {

class Shelf {
 public:
  struct Item {
    std::string metadata;
    std::vector<vsearch::Id> pictures;
  };

  Shelf() : database_(":memory:", vsearch::db::Database::Mode::kCreate), tables_(database_) {}

  vsearch::db::Database& database() { return database_; }
  vsearch::db::FieldIndex& fields() { return fields_; }
  const std::map<std::int64_t, Item>& items() const { return items_; }

  // Returns the number of the item; its key is item-N.
  std::int64_t add(const std::string& metadata, std::size_t pictures = 1) {
    vsearch::db::Transaction transaction(database_);
    const std::int64_t number = ++last_item_;
    const std::string key = "item-" + std::to_string(number);
    Item item{nlohmann::json::parse(metadata).dump(), {}};
    database_.run("INSERT INTO items (id, key, metadata) VALUES (?1, ?2, ?3)", number,
                  std::string_view(key), std::string_view(item.metadata));
    for (std::size_t i = 0; i < pictures; ++i) {
      item.pictures.push_back(++last_picture_);
      database_.run("INSERT INTO pictures (id, item_id, position, path) VALUES (?1, ?2, ?3, '')",
                    static_cast<std::int64_t>(last_picture_), number, static_cast<std::int64_t>(i));
    }
    fields_.insert(item.pictures, item.metadata);
    transaction.commit();
    items_.emplace(number, std::move(item));
    return number;
  }

  void patch(std::int64_t number, const std::string& metadata) {
    vsearch::db::Transaction transaction(database_);
    Item& item = items_.at(number);
    const std::string after = nlohmann::json::parse(metadata).dump();
    fields_.update(item.pictures, item.metadata, after);
    database_.run("UPDATE items SET metadata = ?2 WHERE id = ?1", number, std::string_view(after));
    transaction.commit();
    item.metadata = after;
  }

  void remove(std::int64_t number) {
    vsearch::db::Transaction transaction(database_);
    const Item& item = items_.at(number);
    fields_.erase(item.pictures, item.metadata);
    database_.run("DELETE FROM pictures WHERE item_id = ?1", number);
    database_.run("DELETE FROM items WHERE id = ?1", number);
    transaction.commit();
    items_.erase(number);
  }

  bool declare(const std::string& name, vsearch::FieldType type) {
    vsearch::db::Transaction transaction(database_);
    const bool is_new = fields_.declare({name, type});
    transaction.commit();
    fields_.load();
    return is_new;
  }

  bool drop(const std::string& name) {
    vsearch::db::Transaction transaction(database_);
    const bool was_there = fields_.drop(name);
    transaction.commit();
    fields_.load();
    return was_there;
  }

  // The pictures that match by SQL on the metadata alone.
  std::vector<vsearch::Id> match_by_sql(const vsearch::FilterNode& root) {
    const auto sql = vsearch::detail::filter_to_sql(root);
    auto query = database_.query_once(
        "SELECT pictures.id FROM items JOIN pictures ON pictures.item_id = items.id WHERE " +
        sql.where + " ORDER BY pictures.id");
    for (const auto& parameter : sql.parameters) {
      std::visit([&](const auto& value) { query.bind(value); }, parameter);
    }
    return vsearch::db::read_ids(query).ids();
  }

  // The index as text, a row a line: "field|value|picture".
  std::string rows() {
    auto query = database_.query(
        "SELECT fields.name || '|' || quote(value) || '|' || picture FROM field_values "
        "LEFT JOIN fields ON fields.id = field ORDER BY fields.name, value, picture");
    std::string result;
    while (query.step()) result += std::string(query.text(0)) + "\n";
    return result;
  }

 private:
  // Made before anything looks at them.
  struct Tables {
    explicit Tables(vsearch::db::Database& database) {
      database.execute(
          "CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, "
          "metadata TEXT NOT NULL) STRICT;"
          "CREATE TABLE pictures (id INTEGER PRIMARY KEY AUTOINCREMENT, "
          "item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE, "
          "position INTEGER NOT NULL, path TEXT NOT NULL, content_hash TEXT, "
          "role TEXT NOT NULL DEFAULT '', crop TEXT, file_bytes INTEGER, file_mtime_ns INTEGER, "
          "UNIQUE (item_id, position)) STRICT;"
          "CREATE TABLE fields (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
          "type TEXT NOT NULL CHECK (type IN ('text', 'number', 'boolean', 'tags'))) STRICT;"
          "CREATE TABLE field_values (field INTEGER NOT NULL, value ANY NOT NULL, "
          "picture INTEGER NOT NULL, PRIMARY KEY (field, value, picture)) STRICT, WITHOUT ROWID");
    }
  };

  vsearch::db::Database database_;
  Tables tables_;
  vsearch::db::FieldIndex fields_{database_};
  std::map<std::int64_t, Item> items_;
  std::int64_t last_item_ = 0;
  vsearch::Id last_picture_ = 0;
};

}  // namespace vsearch_test

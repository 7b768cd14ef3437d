// The declared fields of a catalogue and the index of their values: the tables `fields` and
// `field_values`.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/sqlite.h"
#include "vsearch/field.h"
#include "vsearch/index.h"

namespace vsearch::detail {
struct MetadataValue;
}

namespace vsearch::db {

inline constexpr std::size_t kMaxFieldNameBytes = 1024;

// The first column of all rows.
IdFilter read_ids(Query& query);

struct DeclaredField {
  std::int64_t id = 0;  // in the tables
  Field field;
  std::vector<std::string> path;  // as in FilterNode::field
  std::string json_path;          // for SQLite
};

// Ordered by name.
class DeclaredFields {
 public:
  explicit DeclaredFields(std::vector<DeclaredField> fields) : fields_(std::move(fields)) {}

  bool empty() const { return fields_.empty(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  const DeclaredField* find(std::span<const std::string> path) const;

 private:
  std::vector<DeclaredField> fields_;
};

// Of every picture of an item that has a declared field, `field_values` has a row with the value;
// of tags one for each. false and true are 0 and 1. An empty array of tags is a single 0, so that
// it can be told from no array.
//
// What is asked over and over is kept in memory: what is declared, and from the first time they are
// needed on the ids of all pictures and of those that have a field (in bitmaps, an eighth of a byte
// for each picture).
//
// Changes belong into a Transaction of the caller's, and are forgotten if that is rolled back.
// Errors: throws what Database throws; a wrong type is kInvalidArgument.
// Threads: one at a time, the caller has a mutex; only declared() and check() may be called at any
// time.
class FieldIndex {
 public:
  // Reads what is declared. `database` is borrowed. Throws kCorrupt.
  explicit FieldIndex(Database& database);

  std::shared_ptr<const DeclaredFields> declared() const;

  // Throws kInvalidArgument if `metadata`, a JSON object, have a value of another type in a
  // declared field. Costs nothing if none is declared.
  void check(std::string_view metadata) const;
  void check(const detail::MetadataValue& metadata) const;

  // Declares a field and indexes the metadata of all items; false if that field is declared with
  // that type already. Throws kInvalidArgument: no such name is possible, it has another type, or
  // items have values of another type (how many, and which is the first). After the commit call
  // load(), from when on check() knows.
  bool declare(const Field& field);
  // Drops the field and its index; false if it is not declared. After the commit call load().
  bool drop(std::string_view name);
  // Reads what is declared anew. If that throws, it is tried again with the next call that needs
  // it.
  void load();

  // `metadata`, a JSON object, are those of the item of these pictures. insert() and update() throw
  // what check() throws. Call insert() for all new pictures and erase() for all that go, whatever
  // their metadata.
  void insert(std::span<const Id> pictures, std::string_view metadata);
  void erase(std::span<const Id> pictures, std::string_view metadata);
  void update(std::span<const Id> pictures, std::string_view before, std::string_view after);
  void update(std::span<const Id> pictures, const detail::MetadataValue& before,
              const detail::MetadataValue& after);

  // declared(), read anew if need be.
  std::shared_ptr<const DeclaredFields> current();
  // Of all items; valid until the next call of a function that is not const.
  const IdFilter& pictures();
  // Of the items that have the field, if it is an empty array too; valid as long.
  const IdFilter& pictures_with(const DeclaredField& field);

 private:
  struct Row;
  // Sorted. Throws for a wrong type.
  static std::vector<Row> rows_of(const DeclaredFields& fields, std::string_view metadata);
  static std::vector<Row> rows_of(const DeclaredFields& fields,
                                  const detail::MetadataValue& metadata);
  // The rows that the pictures have, if `metadata` (a text or a value) are theirs. If damage has
  // made them unusable, all rows of the pictures are searched for and deleted, which takes long.
  template <typename Metadata>
  std::vector<Row> stored_rows(const DeclaredFields& fields, std::span<const Id> pictures,
                               const Metadata& metadata);
  template <typename Metadata>
  void change(std::span<const Id> pictures, const Metadata& before, const Metadata& after);
  void change_rows(Id picture, const std::vector<Row>& before, const std::vector<Row>& after);

  Database& database_;
  bool stale_ = true;            // what is declared must be read anew
  std::uint64_t rollbacks_ = 0;  // of the database, when what is in memory was read
  std::optional<IdFilter> pictures_;
  std::map<std::int64_t, IdFilter> pictures_with_;  // by the id of the field

  mutable std::mutex declared_mutex_;
  std::shared_ptr<const DeclaredFields> declared_;  // guarded by declared_mutex_
};

}  // namespace vsearch::db

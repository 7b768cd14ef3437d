#include "catalog/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <compare>
#include <iterator>
#include <utility>

#include "catalog/filter_node.h"
#include "catalog/filter_sql.h"
#include "catalog/metadata_value.h"
#include "catalog/refuse.h"
#include "util/utf8.h"

namespace vsearch {
namespace {

constexpr std::array<std::pair<FieldType, std::string_view>, 4> kTypes{{
    {FieldType::kText, "text"},
    {FieldType::kNumber, "number"},
    {FieldType::kBoolean, "boolean"},
    {FieldType::kTags, "tags"},
}};

}  // namespace

std::string_view field_type_name(FieldType type) {
  const auto* const found = std::ranges::find(kTypes, type, [](const auto& t) { return t.first; });
  return found == kTypes.end() ? "unknown" : found->second;
}

std::optional<FieldType> find_field_type(std::string_view name) {
  const auto* const found = std::ranges::find(kTypes, name, [](const auto& t) { return t.second; });
  if (found == kTypes.end()) return std::nullopt;
  return found->first;
}

namespace db {
namespace {

using detail::MetadataValue;
using detail::refuse;

// Why there can be no such field, or an empty text.
std::string name_problem(std::string_view name, const std::vector<std::string>& path) {
  if (name.size() > kMaxFieldNameBytes) {
    return fmt::format("it is {} bytes long; the most is {}", name.size(), kMaxFieldNameBytes);
  }
  if (!util::is_utf8(name)) return "it is not UTF-8";
  for (const std::string& part : path) {
    if (std::string problem = detail::filter_name_problem(part); !problem.empty()) return problem;
  }
  return {};
}

std::vector<std::string> checked_path(std::string_view name) {
  const std::optional<std::vector<std::string>> path = detail::split_field(name);
  const std::string problem =
      path ? name_problem(name, *path) : "after a name in double quotes stands '.' or nothing";
  if (!problem.empty()) refuse(fmt::format("the field {}: {}", util::shorten(name), problem));
  return *path;
}

// The one way in which `path` is written in the table.
std::string name_of(const std::vector<std::string>& path) {
  std::string name;
  for (const std::string& part : path) {
    if (!name.empty()) name += '.';
    name += part.find('.') == std::string::npos ? part : fmt::format("\"{}\"", part);
  }
  return name;
}

bool is_of_type(const MetadataValue& value, FieldType type) {
  switch (type) {
    case FieldType::kText:
      return value.as<std::string>() != nullptr;
    case FieldType::kNumber:
      return value.as<std::int64_t>() != nullptr || value.as<std::uint64_t>() != nullptr ||
             value.as<double>() != nullptr;
    case FieldType::kBoolean:
      return value.as<bool>() != nullptr;
    default:
      const auto* const tags = value.as<MetadataValue::Array>();
      return tags != nullptr && std::ranges::all_of(*tags, [](const MetadataValue& tag) {
               return tag.as<std::string>() != nullptr;
             });
  }
}

std::string_view describe(FieldType type) {
  switch (type) {
    case FieldType::kText:
      return "a text";
    case FieldType::kNumber:
      return "a number";
    case FieldType::kBoolean:
      return "true or false";
    default:
      return "an array of texts";
  }
}

// An expression on items.metadata: whether the value at ?1 is of no use for a field of that type.
const char* is_wrong(FieldType type) {
  switch (type) {
    case FieldType::kText:
      return "ifnull(json_type(metadata, ?1), 'null') NOT IN ('text', 'null')";
    case FieldType::kNumber:
      return "ifnull(json_type(metadata, ?1), 'null') NOT IN ('integer', 'real', 'null')";
    case FieldType::kBoolean:
      return "ifnull(json_type(metadata, ?1), 'null') NOT IN ('true', 'false', 'null')";
    default:
      return "ifnull(json_type(metadata, ?1), 'null') NOT IN ('array', 'null') OR "
             "(json_type(metadata, ?1) IS 'array' AND EXISTS (SELECT 1 FROM json_each(metadata, "
             "?1) "
             "AS element WHERE element.type != 'text'))";
  }
}

// Sorted, because the table is: then its pages are written one after the other.
constexpr const char* kIndexValues =
    "INSERT INTO field_values (field, value, picture) "
    "SELECT ?2, json_extract(metadata, ?1) AS value, pictures.id FROM items "
    "CROSS JOIN pictures ON pictures.item_id = items.id WHERE value IS NOT NULL ORDER BY 2, 3";
constexpr const char* kIndexTags =
    "INSERT INTO field_values (field, value, picture) "
    "SELECT ?2, element.value, pictures.id FROM items "
    "JOIN json_each(items.metadata, ?1) AS element ON element.type = 'text' "
    "JOIN pictures ON pictures.item_id = items.id "
    "UNION SELECT ?2, 0, pictures.id FROM items JOIN pictures ON pictures.item_id = items.id "
    "WHERE json_type(metadata, ?1) IS 'array' AND json_array_length(metadata, ?1) = 0 "
    "ORDER BY 2, 3";

}  // namespace

IdFilter read_ids(Query& query) {
  std::vector<Id> ids;
  while (query.step()) ids.push_back(static_cast<Id>(query.integer(0)));
  return IdFilter(ids);
}

const DeclaredField* DeclaredFields::find(std::span<const std::string> path) const {
  const auto found = std::ranges::find_if(
      fields_, [&](const DeclaredField& field) { return std::ranges::equal(field.path, path); });
  return found == fields_.end() ? nullptr : &*found;
}

// Of one picture, without the picture.
struct FieldIndex::Row {
  enum class Kind { kInteger, kReal, kText };
  std::int64_t field = 0;
  Kind kind = Kind::kInteger;
  std::int64_t integer = 0;
  std::string text;  // of a fraction its digits: SQLite reads them as it reads the metadata

  auto operator<=>(const Row&) const = default;
};

FieldIndex::FieldIndex(Database& database) : database_(database) {
  load();
}

void FieldIndex::load() {
  stale_ = true;
  pictures_.reset();
  pictures_with_.clear();
  std::vector<DeclaredField> fields;
  {
    Query query = database_.query("SELECT id, name, type FROM fields ORDER BY name");
    while (query.step()) {
      const std::string_view name = query.text(1);
      const std::optional<std::vector<std::string>> path = detail::split_field(name);
      const std::optional<FieldType> type = find_field_type(query.text(2));
      if (!path || !name_problem(name, *path).empty() || !type) {
        throw_damaged(database_.path(),
                      fmt::format("the declared field {} makes no sense", util::shorten(name)));
      }
      fields.push_back(
          {query.integer(0), {std::string(name), *type}, *path, detail::json_path(*path)});
    }
  }
  auto declared = std::make_shared<const DeclaredFields>(std::move(fields));
  const std::lock_guard lock(declared_mutex_);
  declared_ = std::move(declared);
  rollbacks_ = database_.rollbacks();
  stale_ = false;
}

std::shared_ptr<const DeclaredFields> FieldIndex::declared() const {
  const std::lock_guard lock(declared_mutex_);
  return declared_;
}

std::shared_ptr<const DeclaredFields> FieldIndex::current() {
  if (stale_ || rollbacks_ != database_.rollbacks()) load();
  return declared();
}

void FieldIndex::check(std::string_view metadata) const {
  const std::shared_ptr<const DeclaredFields> fields = declared();
  if (!fields->empty()) rows_of(*fields, metadata);
}

void FieldIndex::check(const MetadataValue& metadata) const {
  rows_of(*declared(), metadata);
}

std::vector<FieldIndex::Row> FieldIndex::rows_of(const DeclaredFields& fields,
                                                 std::string_view metadata) {
  return rows_of(fields, detail::parse_metadata(metadata, "the metadata"));
}

std::vector<FieldIndex::Row> FieldIndex::rows_of(const DeclaredFields& fields,
                                                 const MetadataValue& metadata) {
  std::vector<Row> rows;
  for (const DeclaredField& field : fields) {
    const MetadataValue* const value = detail::find_value(metadata, field.path);
    if (value == nullptr) continue;
    if (!is_of_type(*value, field.field.type)) {
      refuse(
          fmt::format("the field {} is declared as {} and takes {}, but the metadata have {} "
                      "there",
                      util::shorten(field.field.name), field_type_name(field.field.type),
                      describe(field.field.type), util::shorten(detail::to_text(*value))));
    }
    const auto add = [&](Row::Kind kind, std::int64_t integer, std::string text) {
      rows.push_back({field.id, kind, integer, std::move(text)});
    };
    if (const auto* const text = value->as<std::string>()) {
      add(Row::Kind::kText, 0, *text);
    } else if (const auto* const boolean = value->as<bool>()) {
      add(Row::Kind::kInteger, *boolean ? 1 : 0, {});
    } else if (const auto* const tags = value->as<MetadataValue::Array>()) {
      for (const MetadataValue& tag : *tags) add(Row::Kind::kText, 0, *tag.as<std::string>());
      if (tags->empty()) add(Row::Kind::kInteger, 0, {});
    } else if (const auto* const integer = value->as<std::int64_t>()) {
      add(Row::Kind::kInteger, *integer, {});
    } else if (const auto* const large = value->as<std::uint64_t>();
               large != nullptr && std::in_range<std::int64_t>(*large)) {
      add(Row::Kind::kInteger, static_cast<std::int64_t>(*large), {});
    } else {
      add(Row::Kind::kReal, 0, detail::to_text(*value));
    }
  }
  std::ranges::sort(rows);
  const auto repeated = std::ranges::unique(rows);
  rows.erase(repeated.begin(), repeated.end());
  return rows;
}

bool FieldIndex::declare(const Field& field) {
  const std::vector<std::string> path = checked_path(field.name);
  const std::string name = name_of(path);
  const std::string_view type = field_type_name(field.type);
  if (find_field_type(type) != field.type) {
    refuse(fmt::format("the field {}: there is no such type", util::shorten(name)));
  }
  if (const DeclaredField* const old = current()->find(path)) {
    if (old->field.type == field.type) return false;
    refuse(fmt::format("the field {} is declared as {} already; drop it, then declare it as {}",
                       util::shorten(name), field_type_name(old->field.type), type));
  }
  const std::string place = detail::json_path(path);
  {
    Query wrong = database_.query_once(fmt::format(
        "SELECT count(*), ifnull(min(id), 0) FROM items WHERE {}", is_wrong(field.type)));
    wrong.bind(std::string_view(place)).step();
    if (wrong.integer(0) > 0) {
      Query first = database_.query(
          "SELECT key, json_quote(json_extract(metadata, ?1)) FROM items WHERE id = ?2");
      first.bind(std::string_view(place)).bind(wrong.integer(1)).step();
      refuse(
          fmt::format("the field {} cannot be declared as {}: {} of the items have something "
                      "else than {} there, the first of them {}, which has {}; change their "
                      "metadata or declare another type",
                      util::shorten(name), type, wrong.integer(0), describe(field.type),
                      util::shorten(first.text(0)), util::shorten(first.text(1))));
    }
  }
  stale_ = true;
  std::int64_t id = 0;
  {
    Query insert = database_.query("INSERT INTO fields (name, type) VALUES (?1, ?2) RETURNING id");
    insert.bind(std::string_view(name)).bind(type).step();
    id = insert.integer(0);
    insert.step();
  }
  database_.run(field.type == FieldType::kTags ? kIndexTags : kIndexValues, std::string_view(place),
                id);
  return true;
}

bool FieldIndex::drop(std::string_view name) {
  const std::shared_ptr<const DeclaredFields> fields = current();
  const DeclaredField* const field = fields->find(checked_path(name));
  if (field == nullptr) return false;
  stale_ = true;
  database_.run("DELETE FROM field_values WHERE field = ?1", field->id);
  database_.run("DELETE FROM fields WHERE id = ?1", field->id);
  return true;
}

template <typename Metadata>
std::vector<FieldIndex::Row> FieldIndex::stored_rows(const DeclaredFields& fields,
                                                     std::span<const Id> pictures,
                                                     const Metadata& metadata) {
  try {
    return rows_of(fields, metadata);
  } catch (const Error&) {
    for (const Id picture : pictures) {
      database_.run("DELETE FROM field_values WHERE picture = ?1",
                    static_cast<std::int64_t>(picture));
    }
    return {};
  }
}

void FieldIndex::insert(std::span<const Id> pictures, std::string_view metadata) {
  const std::shared_ptr<const DeclaredFields> fields = current();
  if (fields->empty()) return;
  const std::vector<Row> rows = rows_of(*fields, metadata);
  for (const Id picture : pictures) {
    if (pictures_) pictures_->insert(picture);
    change_rows(picture, {}, rows);
  }
}

void FieldIndex::erase(std::span<const Id> pictures, std::string_view metadata) {
  const std::shared_ptr<const DeclaredFields> fields = current();
  if (fields->empty()) return;
  const std::vector<Row> rows = stored_rows(*fields, pictures, metadata);
  for (const Id picture : pictures) {
    if (pictures_) pictures_->erase(picture);
    change_rows(picture, rows, {});
  }
}

template <typename Metadata>
void FieldIndex::change(std::span<const Id> pictures, const Metadata& before,
                        const Metadata& after) {
  const std::shared_ptr<const DeclaredFields> fields = current();
  if (fields->empty()) return;
  const std::vector<Row> new_rows = rows_of(*fields, after);
  const std::vector<Row> old_rows = stored_rows(*fields, pictures, before);
  for (const Id picture : pictures) change_rows(picture, old_rows, new_rows);
}

void FieldIndex::update(std::span<const Id> pictures, std::string_view before,
                        std::string_view after) {
  change(pictures, before, after);
}

void FieldIndex::update(std::span<const Id> pictures, const MetadataValue& before,
                        const MetadataValue& after) {
  change(pictures, before, after);
}

void FieldIndex::change_rows(Id picture, const std::vector<Row>& before,
                             const std::vector<Row>& after) {
  const auto id = static_cast<std::int64_t>(picture);
  // +: without it the CAST would make SQLite convert the values of all rows instead of seeking one.
  const auto run_with = [&](const char* sql, const char* sql_for_real, const Row& row) {
    switch (row.kind) {
      case Row::Kind::kInteger:
        database_.run(sql, row.field, row.integer, id);
        break;
      case Row::Kind::kText:
        database_.run(sql, row.field, std::string_view(row.text), id);
        break;
      default:
        database_.run(sql_for_real, row.field, std::string_view(row.text), id);
    }
  };
  std::vector<Row> changed;
  std::ranges::set_difference(before, after, std::back_inserter(changed));
  for (const Row& row : changed) {
    run_with(
        "DELETE FROM field_values WHERE field = ?1 AND value = ?2 AND picture = ?3",
        "DELETE FROM field_values WHERE field = ?1 AND value = +CAST(?2 AS REAL) AND picture = ?3",
        row);
  }
  changed.clear();
  std::ranges::set_difference(after, before, std::back_inserter(changed));
  for (const Row& row : changed) {
    // OR IGNORE: a row that damage has left behind is no reason to refuse an item.
    run_with("INSERT OR IGNORE INTO field_values (field, value, picture) VALUES (?1, ?2, ?3)",
             "INSERT OR IGNORE INTO field_values (field, value, picture) "
             "VALUES (?1, CAST(?2 AS REAL), ?3)",
             row);
  }
  for (auto& [field, pictures] : pictures_with_) {
    if (std::ranges::binary_search(after, field, {}, &Row::field)) {
      pictures.insert(picture);
    } else {
      pictures.erase(picture);
    }
  }
}

const IdFilter& FieldIndex::pictures() {
  current();
  if (!pictures_) {
    Query query = database_.query("SELECT id FROM pictures");
    pictures_ = read_ids(query);
  }
  return *pictures_;
}

const IdFilter& FieldIndex::pictures_with(const DeclaredField& field) {
  current();
  auto found = pictures_with_.find(field.id);
  if (found == pictures_with_.end()) {
    Query query = database_.query("SELECT picture FROM field_values WHERE field = ?1");
    query.bind(field.id);
    found = pictures_with_.emplace(field.id, read_ids(query)).first;
  }
  return found->second;
}

}  // namespace db
}  // namespace vsearch

// The C interface to what a catalogue holds: its items, one by one, and its declared fields.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "vsearch/catalog.h"
#include "vsearch/error.h"
#include "vsearch/field.h"

namespace capi = vsearch::capi;

namespace {

vsearch_picture_info to_info(const vsearch::PictureInfo& picture) {
  return {picture.id,
          picture.path.c_str(),
          picture.role.c_str(),
          {picture.crop.left, picture.crop.top, picture.crop.right, picture.crop.bottom},
          picture.content_hash.c_str(),
          picture.kept_bytes};
}

static_assert(static_cast<int>(vsearch::FieldType::kText) == VSEARCH_FIELD_TEXT);
static_assert(static_cast<int>(vsearch::FieldType::kNumber) == VSEARCH_FIELD_NUMBER);
static_assert(static_cast<int>(vsearch::FieldType::kBoolean) == VSEARCH_FIELD_BOOLEAN);
static_assert(static_cast<int>(vsearch::FieldType::kTags) == VSEARCH_FIELD_TAGS);

}  // namespace

struct vsearch_item_record {
  // `item` must outlive it.
  explicit vsearch_item_record(const vsearch::ItemRecord& item) : record(&item) {
    pictures.reserve(item.pictures.size());
    for (const vsearch::PictureInfo& picture : item.pictures) pictures.push_back(to_info(picture));
  }
  explicit vsearch_item_record(std::unique_ptr<vsearch::ItemRecord> item)
      : vsearch_item_record(*item) {
    owned = std::move(item);
  }

  std::unique_ptr<vsearch::ItemRecord> owned;  // of a record that the caller frees
  const vsearch::ItemRecord* record;
  std::vector<vsearch_picture_info> pictures;  // pointing into record
};

struct vsearch_keys {
  std::vector<std::string> keys;
};

struct vsearch_fields {
  std::vector<vsearch::Field> found;
  std::vector<vsearch_field> fields;  // pointing into found
};

vsearch_status vsearch_catalog_get(const vsearch_catalog* catalog, const char* key,
                                   vsearch_item_record** out, vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    capi::require(catalog, "catalog");
    capi::require(key, "key");
    std::optional<vsearch::ItemRecord> record = catalog->catalog.get(key);
    if (!record) {
      throw vsearch::Error(vsearch::ErrorCode::kKeyNotFound,
                           "the catalogue has no item " + std::string(key));
    }
    return std::make_unique<vsearch_item_record>(
        std::make_unique<vsearch::ItemRecord>(*std::move(record)));
  });
}

const char* vsearch_item_record_key(const vsearch_item_record* record) {
  return record != nullptr ? record->record->key.c_str() : "";
}

const char* vsearch_item_record_metadata(const vsearch_item_record* record) {
  return record != nullptr ? record->record->metadata.c_str() : "{}";
}

size_t vsearch_item_record_picture_count(const vsearch_item_record* record) {
  return record != nullptr ? record->pictures.size() : 0;
}

const vsearch_picture_info* vsearch_item_record_picture(const vsearch_item_record* record,
                                                        size_t i) {
  return i < vsearch_item_record_picture_count(record) ? &record->pictures[i] : nullptr;
}

void vsearch_item_record_free(vsearch_item_record* record) {
  delete record;
}

vsearch_status vsearch_catalog_for_each(const vsearch_catalog* catalog, vsearch_item_visitor visit,
                                        void* user, vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    capi::require(visit, "visit");
    catalog->catalog.for_each([&](const vsearch::ItemRecord& item) {
      const vsearch_item_record record(item);
      return visit(user, &record) == 0;
    });
  });
}

vsearch_status vsearch_catalog_keys(const vsearch_catalog* catalog, vsearch_keys** out,
                                    vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    capi::require(catalog, "catalog");
    return std::make_unique<vsearch_keys>(vsearch_keys{catalog->catalog.keys()});
  });
}

size_t vsearch_keys_count(const vsearch_keys* keys) {
  return keys != nullptr ? keys->keys.size() : 0;
}

const char* vsearch_keys_at(const vsearch_keys* keys, size_t i) {
  return i < vsearch_keys_count(keys) ? keys->keys[i].c_str() : nullptr;
}

void vsearch_keys_free(vsearch_keys* keys) {
  delete keys;
}

vsearch_status vsearch_catalog_declare_field(vsearch_catalog* catalog, const char* name,
                                             vsearch_field_type type, vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    capi::require(name, "name");
    catalog->catalog.declare_field(
        {name,
         capi::to_enum<vsearch::FieldType>(type, VSEARCH_FIELD_TAGS, "type", "VSEARCH_FIELD_...")});
  });
}

vsearch_status vsearch_catalog_drop_field(vsearch_catalog* catalog, const char* name,
                                          vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    capi::require(name, "name");
    catalog->catalog.drop_field(name);
  });
}

vsearch_status vsearch_catalog_fields(const vsearch_catalog* catalog, vsearch_fields** out,
                                      vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    capi::require(catalog, "catalog");
    auto result = std::make_unique<vsearch_fields>();
    result->found = catalog->catalog.fields();
    for (const vsearch::Field& field : result->found) {
      result->fields.push_back({field.name.c_str(), static_cast<vsearch_field_type>(field.type)});
    }
    return result;
  });
}

size_t vsearch_fields_count(const vsearch_fields* fields) {
  return fields != nullptr ? fields->fields.size() : 0;
}

const vsearch_field* vsearch_fields_at(const vsearch_fields* fields, size_t i) {
  return i < vsearch_fields_count(fields) ? &fields->fields[i] : nullptr;
}

void vsearch_fields_free(vsearch_fields* fields) {
  delete fields;
}

// The C interface to Catalog.
#include "vsearch/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace capi = vsearch::capi;

struct vsearch_sink {
  std::vector<std::byte> bytes;
};

namespace {

using vsearch::Error;
using vsearch::ErrorCode;

// What loads an encoder by its name or path.
auto encoder_loader(const vsearch_catalog_options& given) {
  const auto options = capi::to_encoder_options(given.encoder_options, "options.encoder_options");
  return [options](const std::string& name_or_path) {
    return vsearch::load_encoder(vsearch::find_encoder(name_or_path), options);
  };
}

vsearch::Fetch to_fetch(vsearch_fetch callback, void* user) {
  if (callback == nullptr) return {};
  return [callback, user](const std::string& uri) {
    vsearch_sink sink;
    vsearch_error error{};
    const vsearch_status status = callback(user, uri.c_str(), &sink, &error);
    if (status == VSEARCH_OK) return std::move(sink.bytes);
    // Any other would be taken for one of the whole call.
    const bool of_a_picture = status == VSEARCH_FILE_NOT_FOUND || status == VSEARCH_IO ||
                              status == VSEARCH_BAD_IMAGE || status == VSEARCH_UNAVAILABLE ||
                              status == VSEARCH_OUT_OF_MEMORY;
    error.message[sizeof error.message - 1] = '\0';
    throw Error(
        of_a_picture ? static_cast<ErrorCode>(status) : ErrorCode::kIo,
        fmt::format("{}: it could not be fetched: {}", uri,
                    error.message[0] != '\0' ? error.message : vsearch_status_name(status)));
  };
}

vsearch::CatalogOptions to_open_options(const vsearch_catalog_options& given) {
  vsearch::CatalogOptions options;
  options.encoder_loader = encoder_loader(given);
  options.fetch = to_fetch(given.fetch, given.fetch_user);
  if (given.snapshot_changes != 0) {
    // That many never come; the C++ interface says this with 0.
    options.snapshot_changes = given.snapshot_changes != UINT64_MAX ? given.snapshot_changes : 0;
  }
  options.log = capi::to_log(given.log, given.log_user);
  options.progress = capi::to_progress(given.progress, given.progress_user);
  return options;
}

vsearch::CropBox to_crop(const float (&crop)[4]) {
  if (std::ranges::all_of(crop, [](float share) { return share == 0; })) return {};
  return {crop[0], crop[1], crop[2], crop[3]};
}

vsearch::Picture to_picture(const vsearch_picture& given, const std::string& name) {
  vsearch::Picture picture;
  if (given.path != nullptr) picture.path = given.path;
  if (given.bytes != nullptr) {
    if (given.bytes_length == 0) {
      throw Error(ErrorCode::kInvalidArgument, name + ".bytes_length is 0");
    }
    picture.bytes = {static_cast<const std::byte*>(given.bytes), given.bytes_length};
  }
  if (given.embedding != nullptr) {
    if (given.embedding_dim == 0) {
      throw Error(ErrorCode::kInvalidArgument, name + ".embedding_dim is 0");
    }
    picture.embedding = {given.embedding, given.embedding_dim};
  }
  picture.crop = to_crop(given.crop);
  picture.role = capi::text_or_empty(given.role);
  picture.keep_bytes = given.keep_bytes != 0;
  picture.embedding_fingerprint = capi::text_or_empty(given.embedding_fingerprint);
  if (picture.path.empty() && picture.bytes.empty() && picture.embedding.empty()) {
    throw Error(ErrorCode::kInvalidArgument, name + " has no path, no bytes and no embedding");
  }
  return picture;
}

vsearch::Item to_item(const vsearch_item& given, const std::string& name) {
  vsearch::Item item;
  capi::require(given.key, name + ".key");
  item.key = given.key;
  if (given.metadata != nullptr) item.metadata = given.metadata;
  const capi::StructArray pictures(given.pictures, given.picture_count,
                                   offsetof(vsearch_picture, path) + sizeof(given.pictures->path),
                                   name + ".pictures");
  item.pictures.reserve(pictures.size());
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    item.pictures.push_back(to_picture(pictures[i], pictures.name(i)));
  }
  return item;
}

}  // namespace

vsearch_status vsearch_catalog_create(const char* path, const vsearch_catalog_options* options,
                                      vsearch_catalog** out, vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    capi::require(path, "path");
    const auto given = capi::read_options(options, "options");
    const std::string encoder(given.encoder != nullptr ? given.encoder : vsearch::kDefaultEncoder);
    const vsearch::CatalogOptions opened = to_open_options(given);
    vsearch::CatalogCreateOptions created;
    created.encoder = opened.encoder_loader(encoder);
    created.encoder_ref = vsearch::encoder_reference(encoder);
    created.encoder_loader = opened.encoder_loader;
    created.fetch = opened.fetch;
    created.snapshot_changes = opened.snapshot_changes;
    created.log = opened.log;
    return std::make_unique<vsearch_catalog>(
        vsearch_catalog{vsearch::Catalog::create(path, created)});
  });
}

vsearch_status vsearch_catalog_open(const char* path, const vsearch_catalog_options* options,
                                    vsearch_catalog** out, vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    capi::require(path, "path");
    const auto given = capi::read_options(options, "options");
    vsearch::CatalogOptions wanted = to_open_options(given);
    if (given.encoder != nullptr) wanted.encoder = wanted.encoder_loader(given.encoder);
    return std::make_unique<vsearch_catalog>(vsearch_catalog{vsearch::Catalog::open(path, wanted)});
  });
}

vsearch_status vsearch_sink_write(vsearch_sink* sink, const void* bytes, size_t length,
                                  vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(sink, "sink");
    if (length == 0) return;
    capi::require(bytes, "bytes");
    const auto* first = static_cast<const std::byte*>(bytes);
    sink->bytes.insert(sink->bytes.end(), first, first + length);
  });
}

void vsearch_catalog_free(vsearch_catalog* catalog) {
  delete catalog;
}

vsearch_status vsearch_catalog_get_info(const vsearch_catalog* catalog, vsearch_catalog_info* info,
                                        vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    capi::require(info, "info");
    const capi::OutStruct out(info, "info");
    const vsearch::CatalogInfo found = catalog->catalog.info();
    vsearch_catalog_info result{};
    result.items = found.items;
    result.pictures = found.pictures;
    result.generation = found.generation;
    result.disk_bytes = found.disk_bytes;
    result.index_memory_bytes = found.index.memory_bytes;
    result.dim = found.dim;
    result.metric = static_cast<uint32_t>(found.metric);
    capi::copy_text(result.encoder_name, sizeof result.encoder_name, found.encoder_name);
    capi::copy_text(result.encoder_fingerprint, sizeof result.encoder_fingerprint,
                    found.encoder_fingerprint);
    result.snapshot_generation = found.snapshot_generation;
    out.write(result);
  });
}

vsearch_status vsearch_catalog_add(vsearch_catalog* catalog, const vsearch_item* items,
                                   size_t count, const vsearch_add_options* options,
                                   vsearch_add_report** report, vsearch_error* error) {
  if (report != nullptr) *report = nullptr;
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    const auto given = capi::read_options(options, "options");
    const capi::StructArray array(
        items, count, offsetof(vsearch_item, picture_count) + sizeof(items->picture_count),
        "items");
    std::vector<vsearch::Item> wanted;
    wanted.reserve(count);
    for (std::size_t i = 0; i < array.size(); ++i) {
      wanted.push_back(to_item(array[i], array.name(i)));
    }
    auto result = std::make_unique<vsearch_add_report>(
        catalog->catalog.add(wanted, capi::to_progress(given.progress, given.progress_user)));
    if (report != nullptr) *report = result.release();
  });
}

uint64_t vsearch_add_report_added(const vsearch_add_report* report) {
  return report != nullptr ? report->report.added : 0;
}

uint64_t vsearch_add_report_replaced(const vsearch_add_report* report) {
  return report != nullptr ? report->report.replaced : 0;
}

uint64_t vsearch_add_report_encoded(const vsearch_add_report* report) {
  return report != nullptr ? report->report.encoded : 0;
}

size_t vsearch_add_report_failure_count(const vsearch_add_report* report) {
  return report != nullptr ? report->failures.size() : 0;
}

const vsearch_add_failure* vsearch_add_report_failure(const vsearch_add_report* report, size_t i) {
  return i < vsearch_add_report_failure_count(report) ? &report->failures[i] : nullptr;
}

void vsearch_add_report_free(vsearch_add_report* report) {
  delete report;
}

vsearch_status vsearch_catalog_remove(vsearch_catalog* catalog, const char* const* keys,
                                      size_t count, uint64_t* removed, vsearch_error* error) {
  if (removed != nullptr) *removed = 0;
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    auto wanted = capi::to_texts<std::string>(keys, count, "keys");
    // A key given twice counts once.
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    const auto missing = catalog->catalog.remove(wanted);
    if (removed != nullptr) *removed = wanted.size() - missing.size();
  });
}

vsearch_status vsearch_catalog_patch(vsearch_catalog* catalog,
                                     const vsearch_metadata_patch* patches, size_t count,
                                     uint64_t* patched, vsearch_error* error) {
  if (patched != nullptr) *patched = 0;
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    const capi::StructArray array(
        patches, count, offsetof(vsearch_metadata_patch, changes) + sizeof(patches->changes),
        "patches");
    std::vector<vsearch::MetadataPatch> wanted;
    std::set<std::string_view> keys;
    wanted.reserve(count);
    for (std::size_t i = 0; i < array.size(); ++i) {
      const vsearch_metadata_patch given = array[i];
      capi::require(given.key, array.name(i) + ".key");
      capi::require(given.changes, array.name(i) + ".changes");
      wanted.push_back({given.key, given.changes});
      keys.insert(given.key);
    }
    const auto missing = catalog->catalog.patch(wanted);
    if (patched != nullptr) *patched = keys.size() - missing.size();
  });
}

vsearch_status vsearch_catalog_contains(const vsearch_catalog* catalog, const char* key,
                                        int32_t* present, vsearch_error* error) {
  if (present != nullptr) *present = 0;
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    capi::require(key, "key");
    capi::require(present, "present");
    *present = catalog->catalog.get(key).has_value() ? 1 : 0;
  });
}

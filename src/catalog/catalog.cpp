#include "vsearch/catalog.h"

#include <fmt/format.h>

#include <utility>

#include "catalog/adder.h"
#include "catalog/backup.h"
#include "catalog/check.h"
#include "catalog/compact.h"
#include "catalog/core.h"
#include "catalog/duplicates.h"
#include "catalog/new_folder.h"
#include "catalog/picture_file.h"
#include "catalog/reencoder.h"
#include "catalog/snapshot.h"
#include "catalog/syncer.h"
#include "catalog/transfer.h"
#include "util/utf8.h"

namespace vsearch {

struct Catalog::Impl : detail::CatalogCore {
  using CatalogCore::CatalogCore;
};

namespace {

ItemRecord to_record(db::Store& store, db::StoredItem item) {
  ItemRecord record{std::move(item.key), std::move(item.metadata), {}};
  for (db::StoredPicture& picture : item.pictures) {
    record.pictures.push_back({picture.id, std::move(picture.path), std::move(picture.role),
                               detail::parse_crop(picture.crop, store.database().path()),
                               std::move(picture.content_hash), store.kept_length(picture.id)});
  }
  return record;
}

// Runs a member of Catalog.
template <typename Call>
auto with_memory(Call call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory,
                "there is not enough memory for this call; nothing that was acknowledged is lost, "
                "free some and try again");
  }
}

}  // namespace

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Catalog::Catalog(Catalog&&) noexcept = default;

Catalog& Catalog::operator=(Catalog&& other) noexcept {
  Catalog old(std::move(*this));
  impl_ = std::move(other.impl_);
  return *this;
}

Catalog::~Catalog() {
  // Closing SQLite in a forked child would take the parent's log away.
  if (impl_ && impl_->in_forked_child()) static_cast<void>(impl_.release());
}

Catalog Catalog::create(const std::filesystem::path& path, const CatalogCreateOptions& options) {
  return with_memory([&] {
    if (!options.encoder) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("creating the catalogue {} needs an encoder in CatalogCreateOptions",
                              path.string()));
    }
    if (!util::is_utf8(options.encoder_ref) ||
        options.encoder_ref.find('\0') != std::string::npos) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("the encoder's name is not UTF-8: {}",
                                                           util::shorten(options.encoder_ref)));
    }
    const EncoderInfo& encoder = options.encoder->info();
    const db::EditionHeader edition{1,
                                    EditionState::kServing,
                                    options.encoder_ref,
                                    encoder.name,
                                    encoder.fingerprint,
                                    encoder.dim,
                                    encoder.metric,
                                    options.links,
                                    options.build_breadth};
    // Throws if the index would not take these, before anything is on disk.
    const Index probe({edition.dim, edition.metric, edition.links, edition.build_breadth});
    detail::make_folder(path, "create the catalogue", [&](const std::filesystem::path& scratch) {
      db::Store::create(scratch / "catalog.db", detail::random_name(), edition);
    });
    CatalogOptions open_options;
    open_options.encoder = options.encoder;
    open_options.encoder_loader = options.encoder_loader;
    open_options.fetch = options.fetch;
    open_options.snapshot_changes = options.snapshot_changes;
    open_options.log = options.log;
    return open(path, open_options);
  });
}

Catalog Catalog::open(const std::filesystem::path& path, const CatalogOptions& options) {
  return with_memory([&] { return Catalog(std::make_unique<Impl>(path, options)); });
}

AddReport Catalog::add(std::span<const Item> items, const Progress& progress) {
  return with_memory([&] {
    impl_->check_process();
    return detail::Adder(*impl_, items, progress).run();
  });
}

std::vector<std::string> Catalog::remove(std::span<const std::string> keys) {
  return with_memory([&] {
    impl_->check_process();
    return impl_->remove(keys);
  });
}

std::vector<std::string> Catalog::patch(std::span<const MetadataPatch> patches) {
  return with_memory([&] {
    impl_->check_process();
    return impl_->patch(patches);
  });
}

std::optional<ItemRecord> Catalog::get(const std::string& key) const {
  return with_memory([&]() -> std::optional<ItemRecord> {
    impl_->check_process();
    return impl_->in_store([&](db::Store& store) -> std::optional<ItemRecord> {
      std::optional<db::StoredItem> stored = store.item(key);
      if (!stored) return std::nullopt;
      return to_record(store, *std::move(stored));
    });
  });
}

std::vector<std::string> Catalog::keys() const {
  return with_memory([&] {
    impl_->check_process();
    return impl_->in_store([](db::Store& store) { return store.keys(); });
  });
}

void Catalog::for_each(const std::function<bool(const ItemRecord&)>& visit) const {
  with_memory([&] {
    impl_->check_process();
    std::string after;
    while (true) {
      const std::vector<ItemRecord> records = impl_->in_store([&](db::Store& store) {
        std::vector<ItemRecord> read;
        for (db::StoredItem& item : store.items_after(after)) {
          read.push_back(to_record(store, std::move(item)));
        }
        return read;
      });
      if (records.empty()) return;
      for (const ItemRecord& record : records) {
        if (!visit(record)) return;
      }
      after = records.back().key;
    }
  });
}

CatalogInfo Catalog::info() const {
  return with_memory([&] {
    impl_->check_process();
    return impl_->info();
  });
}

void Catalog::declare_field(const Field& field) {
  with_memory([&] {
    impl_->check_process();
    impl_->declare_field(field);
  });
}

void Catalog::drop_field(const std::string& name) {
  with_memory([&] {
    impl_->check_process();
    impl_->drop_field(name);
  });
}

std::vector<Field> Catalog::fields() const {
  return with_memory([&] {
    impl_->check_process();
    return impl_->in_store([](db::Store& store) {
      std::vector<Field> fields;
      for (const db::DeclaredField& declared : *store.fields().current()) {
        fields.push_back(declared.field);
      }
      return fields;
    });
  });
}

SyncReport Catalog::sync(const Source& source, const SyncOptions& options,
                         const Progress& progress) {
  return with_memory([&] {
    impl_->check_process();
    return detail::Syncer(*impl_, source, options, progress).run();
  });
}

ReencodeReport Catalog::reencode(std::shared_ptr<Encoder> encoder, const ReencodeOptions& options,
                                 const Progress& progress) {
  return with_memory([&] {
    impl_->check_process();
    return detail::Reencoder(*impl_, std::move(encoder), options, progress).run();
  });
}

ReencodeReport Catalog::rollback(const Progress& progress) {
  return with_memory([&] {
    impl_->check_process();
    return detail::Reencoder(*impl_, progress).run();
  });
}

std::vector<EditionInfo> Catalog::editions() const {
  return with_memory([&] {
    impl_->check_process();
    return impl_->in_store([](db::Store& store) {
      std::vector<EditionInfo> result;
      for (db::EditionHeader& edition : store.editions()) {
        result.push_back({edition.id, edition.state, std::move(edition.encoder_ref),
                          std::move(edition.encoder_name), std::move(edition.encoder_fingerprint),
                          edition.dim, edition.metric, store.embedding_count(edition.id)});
      }
      return result;
    });
  });
}

void Catalog::drop_edition(std::int64_t id) {
  with_memory([&] {
    impl_->check_process();
    impl_->drop_edition(id);
  });
}

std::shared_ptr<const Edition> Catalog::serving() const {
  return with_memory([&] {
    impl_->check_process();
    return impl_->serving();
  });
}

std::vector<Id> Catalog::pictures_of(const std::string& key) const {
  std::optional<ItemRecord> record = get(key);
  if (!record) {
    throw Error(ErrorCode::kKeyNotFound,
                fmt::format("the catalogue {} has no item with the key {}; keys() lists them",
                            impl_->path().string(), util::shorten(key)));
  }
  std::vector<Id> ids;
  for (const PictureInfo& picture : record->pictures) ids.push_back(picture.id);
  return ids;
}

std::vector<PictureRecord> Catalog::pictures(std::span<const Id> ids) const {
  return with_memory([&] {
    impl_->check_process();
    return impl_->in_store([&](db::Store& store) {
      std::vector<PictureRecord> records;
      for (const Id id : ids) {
        if (std::optional<PictureRecord> record = store.picture(id)) {
          records.push_back(*std::move(record));
        }
      }
      return records;
    });
  });
}

NearPictures Catalog::near_pictures(const Edition& edition, std::span<const float> query,
                                    const SearchOptions& options) const {
  return with_memory([&] {
    impl_->check_process();
    return impl_->near_pictures(edition, query, options);
  });
}

IdFilter Catalog::match(const Filter& filter) const {
  return with_memory([&] {
    impl_->check_process();
    return impl_->match(filter);
  });
}

void Catalog::save_snapshot() {
  with_memory([&] {
    impl_->check_process();
    impl_->save_snapshot();
  });
}

// ---- Care

CheckReport Catalog::check(const CheckOptions& options, const Progress& progress) const {
  return with_memory([&] {
    impl_->check_process();
    return detail::check(*impl_, options, progress);
  });
}

CompactReport Catalog::compact(const Progress& progress) {
  return with_memory([&] {
    impl_->check_process();
    return detail::compact(*impl_, progress);
  });
}

void Catalog::backup(const std::filesystem::path& path, const Progress& progress) const {
  with_memory([&] {
    impl_->check_process();
    detail::backup(*impl_, path, progress);
  });
}

ExportReport Catalog::export_to(const std::filesystem::path& path, const Progress& progress) const {
  return with_memory([&] {
    impl_->check_process();
    return detail::export_to(*impl_, path, progress);
  });
}

AddReport Catalog::import_from(const std::filesystem::path& path, const Progress& progress) {
  return with_memory([&] {
    impl_->check_process();
    return detail::import_from(*impl_, path, progress);
  });
}

std::vector<DuplicateGroup> Catalog::near_duplicates(const DuplicateOptions& options,
                                                     const Progress& progress) const {
  return with_memory([&] {
    impl_->check_process();
    return detail::near_duplicates(*impl_, options, progress);
  });
}

}  // namespace vsearch

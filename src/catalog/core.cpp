#include "catalog/core.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <shared_mutex>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "catalog/filter_plan.h"
#include "catalog/item_check.h"
#include "catalog/snapshot.h"
#include "util/folder_names.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

std::filesystem::path checked_directory(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path directory = std::filesystem::absolute(path, error);
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("there is no catalogue at {}; check the path, or create one there",
                            path.string()));
  }
  if (error) {
    throw Error(ErrorCode::kIo, fmt::format("cannot look at {}: {}; check the permissions",
                                            path.string(), error.message()));
  }
  if (!std::filesystem::is_directory(status) ||
      !std::filesystem::exists(directory / "catalog.db", error)) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{} is no catalogue: it is {}; check the path", path.string(),
                            std::filesystem::is_directory(status) ? "a folder without catalog.db"
                                                                  : "not a folder"));
  }
  return directory;
}

std::uint64_t bytes_in(const std::filesystem::path& directory) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const std::string& name : util::names_in(directory, error)) {
    std::error_code gone;  // a file may go away meanwhile
    const std::uint64_t size = std::filesystem::file_size(directory / name, gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

// Whether the pictures of `item` are those of `old`, known by content and crop.
bool same_pictures(const ReadyItem& item, const db::StoredItem& old) {
  return std::ranges::equal(item.pictures, old.pictures, [](const auto& ready, const auto& b) {
    const db::StoredPicture& a = ready.picture;
    return !a.content_hash.empty() && a.content_hash == b.content_hash && a.crop == b.crop;
  });
}

// Whether what may change of pictures that are the same has changed.
bool same_but_for_content(const ReadyItem& item, const db::StoredItem& old) {
  return std::ranges::equal(item.pictures, old.pictures, [](const auto& ready, const auto& b) {
    const db::StoredPicture& a = ready.picture;
    return a.path == b.path && a.role == b.role && a.stamp == b.stamp;
  });
}

std::vector<Id> ids_of(const db::StoredItem& item) {
  std::vector<Id> ids;
  for (const db::StoredPicture& picture : item.pictures) ids.push_back(picture.id);
  return ids;
}

const std::vector<float>* embedding_of(const ReadyPicture& picture, std::int64_t edition) {
  const auto found = std::ranges::find(picture.embeddings, edition, &EditionVector::edition);
  return found == picture.embeddings.end() ? nullptr : &found->values;
}

}  // namespace

CatalogCore::CatalogCore(const std::filesystem::path& path, const CatalogOptions& options)
    : path_(checked_directory(path)),
      process_(::getpid()),
      log_(options.log),
      encoder_loader_(options.encoder_loader),
      fetch_(options.fetch),
      owner_(path_),
      store_(std::make_unique<db::Store>(path_ / "catalog.db")),
      saver_(options.snapshot_changes, [this] {
        try {
          save_snapshot();
        } catch (const std::exception& e) {
          log_unless_it_fails(
              "the index snapshot was not saved, and nothing is lost; it is tried again", e);
        }
      }) {
  live_.serving = open_serving(options);
  last_picture_id_ = store_->last_picture_id();
}

std::shared_ptr<LiveEdition> CatalogCore::open_serving(const CatalogOptions& options) {
  const db::EditionHeader header = store_->serving();
  if (options.encoder && options.encoder->info().fingerprint != header.encoder_fingerprint) {
    // Before the index is opened, which may take long.
    throw_encoder_mismatch(path_, header, options.encoder->info());
  }
  delete_stray_snapshots(*store_, path_);
  const StoreAccess in_store = [&](const auto& use) { use(*store_); };
  OpenedIndex opened = open_index(in_store, header, path_, options.log, options.progress);
  unsaved_ = opened.changes;
  snapshot_generation_ = opened.snapshot_generation;
  return std::make_shared<LiveEdition>(header, std::move(opened.index), path_, options.encoder,
                                       options.encoder_loader);
}

CatalogCore::~CatalogCore() {
  saver_.stop();
  try {
    const auto edition = serving();
    edition->with_index([&] { return edition->index().size(); });
    if (unsaved_ > 0) save_snapshot();
  } catch (const std::exception& e) {
    log_unless_it_fails("the index snapshot was not saved, the next open will make up for it", e);
  }
}

// Where nothing may be thrown any more: without memory there is no message.
void CatalogCore::log_unless_it_fails(const char* what, const std::exception& e) const noexcept {
  try {
    log(LogLevel::kWarning, fmt::format("{}: {}", what, e.what()));
  } catch (const std::exception&) {
    return;
  }
}

bool CatalogCore::in_forked_child() const {
  return ::getpid() != process_;
}

void CatalogCore::check_process() const {
  if (!in_forked_child()) return;
  throw Error(ErrorCode::kBusy,
              fmt::format("the catalogue {} was opened by process {} and cannot be used in a child "
                          "forked from it; open it after the fork, in one process",
                          path_.string(), process_));
}

void CatalogCore::log(LogLevel level, const std::string& message) const {
  if (log_) log_(level, message);
}

LiveEditions CatalogCore::live() const {
  const std::lock_guard lock(live_mutex_);
  return live_;
}

void CatalogCore::set_live(std::shared_ptr<LiveEdition> serving,
                           std::shared_ptr<LiveEdition> building) {
  const std::lock_guard lock(live_mutex_);
  live_ = {live_.epoch + 1, std::move(serving), std::move(building)};
}

void CatalogCore::note_changes(std::uint64_t changes) {
  unsaved_ += changes;
  try {
    saver_.note(unsaved_, serving()->index().size());
  } catch (const Error&) {
    // The index says that it is damaged. What was committed is committed: the next call will say
    // so.
  }
}

void CatalogCore::drop_from_index(const LiveEditions& live, std::span<const Id> ids) {
  for (const auto& edition : {live.serving, live.building}) {
    if (!edition) continue;
    const std::string problem = edition->drop(ids);
    if (problem.empty()) continue;
    log(LogLevel::kWarning, fmt::format("{} removed pictures stay in the index for now, unseen: {}",
                                        edition->leftovers(), problem));
  }
}

// What a commit is going to do with an item.
struct CatalogCore::Plan {
  const ReadyItem* item;
  std::optional<db::StoredItem> old;
  bool new_pictures = true;
  std::vector<Id> ids;  // of the new pictures
};

CommitCounts CatalogCore::commit(std::span<const ReadyItem> items, const LiveEditions& live) {
  const std::lock_guard writer(writer_mutex_);
  CommitCounts counts;
  std::vector<Plan> plans;
  std::vector<Id> old_ids;
  std::size_t new_pictures = 0;
  in_store([&](db::Store& store) {
    for (const ReadyItem& item : items) {
      Plan plan{&item, store.item(item.key), true, {}};
      ++(plan.old ? counts.replaced : counts.added);
      if (plan.old && same_pictures(item, *plan.old) &&
          has_as_much(store, live.serving->header(), item, *plan.old)) {
        plan.new_pictures = false;
        if (plan.old->metadata == item.metadata && same_but_for_content(item, *plan.old)) continue;
      }
      if (plan.new_pictures) {
        new_pictures += item.pictures.size();
        if (plan.old) {
          for (const db::StoredPicture& picture : plan.old->pictures) old_ids.push_back(picture.id);
        }
      }
      plans.push_back(std::move(plan));
    }
  });
  if (plans.empty()) return counts;

  std::vector<Id> ids;
  for (Plan& plan : plans) {
    if (!plan.new_pictures) continue;
    for (std::size_t i = 0; i < plan.item->pictures.size(); ++i) {
      ids.push_back(++last_picture_id_);
      plan.ids.push_back(last_picture_id_);
    }
  }
  for (const auto& edition : {live.serving, live.building}) {
    // So that drop_from_index() cannot fail where nothing may fail any more.
    if (edition) edition->reserve_leftovers(ids.size() + old_ids.size());
  }
  try {
    for (const auto& edition : {live.serving, live.building}) {
      if (edition) add_to_index(*edition, plans);
    }
    std::unique_lock replacing(replacing_, std::defer_lock);
    if (!old_ids.empty()) replacing.lock();
    in_transaction([&](db::Store& store) { write_items(store, plans, live); });
  } catch (...) {
    drop_from_index(live, ids);
    throw;
  }
  drop_from_index(live, old_ids);
  note_changes(ids.size() + old_ids.size());
  return counts;
}

// Whether the pictures that are there have embeddings, and the files that are to be kept.
bool CatalogCore::has_as_much(db::Store& store, const db::EditionHeader& serving,
                              const ReadyItem& item, const db::StoredItem& old) {
  for (std::size_t i = 0; i < old.pictures.size(); ++i) {
    const Id id = old.pictures[i].id;
    if (store.find_embedding(serving, id).empty()) return false;
    if (!item.pictures[i].kept_bytes.empty() && store.kept_length(id) == 0) return false;
  }
  return true;
}

void CatalogCore::add_to_index(LiveEdition& edition, std::span<const Plan> plans) {
  std::vector<const std::vector<float>*> rows;
  std::vector<Id> ids;
  for (const Plan& plan : plans) {
    for (std::size_t i = 0; i < plan.ids.size(); ++i) {
      const std::vector<float>* row = embedding_of(plan.item->pictures[i], edition.id());
      if (row == nullptr) continue;
      rows.push_back(row);
      ids.push_back(plan.ids[i]);
    }
  }
  if (ids.empty()) return;
  Matrix matrix(ids.size(), edition.header().dim);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::ranges::copy(*rows[i], matrix.row(i).begin());
  }
  edition.with_index([&] { edition.writable().add(matrix.view(), ids); });
}

void CatalogCore::write_items(db::Store& store, std::span<const Plan> plans,
                              const LiveEditions& live) {
  for (const Plan& plan : plans) {
    std::int64_t item = 0;
    if (!plan.old) {
      item = store.insert_item(plan.item->key, plan.item->metadata);
    } else {
      item = plan.old->id;
      const bool same = plan.old->metadata == plan.item->metadata;
      if (!same) store.set_metadata(item, plan.item->metadata);
      if (plan.new_pictures) {
        store.fields().erase(ids_of(*plan.old), plan.old->metadata);
        store.delete_pictures(item);
      } else if (!same) {
        store.fields().update(ids_of(*plan.old), plan.old->metadata, plan.item->metadata);
      }
    }
    if (plan.new_pictures) store.fields().insert(plan.ids, plan.item->metadata);
    for (std::size_t i = 0; i < plan.item->pictures.size(); ++i) {
      const ReadyPicture& ready = plan.item->pictures[i];
      if (!plan.new_pictures) {
        store.update_picture(plan.old->pictures[i].id, ready.picture.path, ready.picture.role,
                             ready.picture.stamp);
        continue;
      }
      db::NewPicture picture{ready.picture, ready.kept_bytes};
      picture.picture.id = plan.ids[i];
      store.insert_picture(item, i, picture);
      for (const auto& edition : {live.serving, live.building}) {
        if (!edition) continue;
        const std::vector<float>* row = embedding_of(ready, edition->id());
        if (row != nullptr) store.insert_embedding(edition->id(), plan.ids[i], *row);
      }
    }
  }
  store.next_generation();
}

void CatalogCore::update(std::span<const ReadyItem> items) {
  const std::lock_guard writer(writer_mutex_);
  std::vector<Plan> plans;
  in_store([&](db::Store& store) {
    for (const ReadyItem& item : items) {
      Plan plan{&item, store.item(item.key), false, {}};
      if (plan.old && same_pictures(item, *plan.old)) plans.push_back(std::move(plan));
    }
  });
  if (plans.empty()) return;
  in_transaction([&](db::Store& store) { write_items(store, plans, live()); });
}

std::vector<std::string> CatalogCore::remove(std::span<const std::string> keys) {
  const std::lock_guard writer(writer_mutex_);
  std::vector<std::string> absent;
  std::vector<db::StoredItem> items;
  std::vector<Id> ids;
  in_store([&](db::Store& store) {
    std::unordered_set<std::string_view> seen;
    for (const std::string& key : keys) {
      if (!seen.insert(key).second) continue;
      std::optional<db::StoredItem> item = store.item(key);
      if (!item) {
        absent.push_back(key);
        continue;
      }
      for (const db::StoredPicture& picture : item->pictures) ids.push_back(picture.id);
      items.push_back(*std::move(item));
    }
  });
  if (items.empty()) return absent;
  const LiveEditions editions = live();
  for (const auto& edition : {editions.serving, editions.building}) {
    if (edition) edition->reserve_leftovers(ids.size());
  }
  in_transaction([&](db::Store& store) {
    for (const db::StoredItem& item : items) {
      store.fields().erase(ids_of(item), item.metadata);
      store.delete_item(item.id);
    }
    store.next_generation();
  });
  drop_from_index(editions, ids);
  note_changes(ids.size());
  return absent;
}

std::vector<std::string> CatalogCore::patch(std::span<const MetadataPatch> patches) {
  const std::lock_guard writer(writer_mutex_);
  struct Change {
    db::StoredMetadata item;
    MetadataValue before;
    MetadataValue after;
    std::string text;  // of `after`
  };
  std::unordered_map<std::string_view, std::optional<Change>> changes;  // none: no such item
  std::vector<std::string> absent;
  in_store([&](db::Store& store) {
    for (const MetadataPatch& patch : patches) {
      const auto [change, is_new] = changes.try_emplace(patch.key);
      if (!is_new) continue;
      std::optional<db::StoredMetadata> item = store.metadata_of(patch.key);
      if (item) {
        change->second.emplace().item = *std::move(item);
      } else {
        absent.push_back(patch.key);
      }
    }
  });
  for (const MetadataPatch& patch : patches) {
    std::optional<Change>& change = changes[patch.key];
    if (!change) continue;
    if (change->text.empty()) {
      change->before = stored_metadata(change->item.metadata, patch.key);
      change->after = change->before;
    }
    change->text = merge(change->after, patch);
  }
  // In the order in which they lie in the file.
  std::vector<const Change*> in_order;
  for (const auto& [key, change] : changes) {
    if (!change || change->text == change->item.metadata) continue;
    try {
      check_fields(change->after);
    } catch (const Error& e) {
      throw Error(e.code(), fmt::format("item {}: {}", util::shorten(key), e.what()));
    }
    in_order.push_back(&*change);
  }
  if (in_order.empty()) return absent;
  std::ranges::sort(in_order, {}, [](const Change* change) { return change->item.id; });
  in_transaction([&](db::Store& store) {
    for (const Change* const change : in_order) {
      store.set_metadata(change->item.id, change->text);
      store.fields().update(change->item.pictures, change->before, change->after);
    }
    store.next_generation();
  });
  return absent;
}

void CatalogCore::save_snapshot() {
  const std::lock_guard saving(saving_);
  const auto edition = serving();
  save(*edition, true);
}

void CatalogCore::save_building(LiveEdition& edition) {
  const std::lock_guard saving(saving_);
  save(edition, false);
}

void CatalogCore::save(LiveEdition& edition, bool serving) {
  std::unique_lock writer(writer_mutex_);
  edition.drop_leftovers();
  SnapshotStamp stamp{random_name(), 0, last_picture_id_};
  const std::uint64_t saved = unsaved_;
  // The stamp is known before the snapshot that has it is in place. If a crash or an error comes
  // between, the old snapshot goes on to be valid.
  in_transaction([&](db::Store& store) {
    stamp.generation = store.generation();
    store.set_stamps(edition.id(), {store.stamps(edition.id()).current, stamp.text()});
  });
  edition.with_index([&] {
    edition.index().save(snapshot_path(path_, edition.id(), serving), stamp.text(),
                         [&] { writer.unlock(); });
  });
  writer.lock();
  const bool alone = live().building == nullptr;
  in_transaction([&](db::Store& store) {
    store.set_stamps(edition.id(), {stamp.text(), {}});
    // One that is being built may have been saved before, and would want to know of all since.
    if (serving && alone) store.delete_removals(stamp.generation);
  });
  if (!serving) return;
  unsaved_ -= saved;
  snapshot_generation_ = stamp.generation;
  std::error_code ignored;  // where a crash has left it when the edition began to serve
  std::filesystem::remove(snapshot_path(path_, edition.id(), false), ignored);
}

void CatalogCore::set_building(std::shared_ptr<LiveEdition> edition) {
  const std::lock_guard writer(writer_mutex_);
  if (edition) {
    // What was removed while its index was opened.
    const std::vector<Id> wanted =
        in_store([&](db::Store& store) { return store.embedded_ids(edition->id()); });
    const std::vector<Id> present = edition->index().ids();
    std::vector<Id> extra;
    std::ranges::set_difference(present, wanted, std::back_inserter(extra));
    edition->writable().remove(extra);
  }
  set_live(serving(), std::move(edition));
}

void CatalogCore::commit_embeddings(LiveEdition& edition, std::span<const Id> ids,
                                    const Matrix& rows) {
  std::vector<std::size_t> wanted;
  in_store([&](db::Store& store) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (store.picture(ids[i]) && store.find_embedding(edition.header(), ids[i]).empty()) {
        wanted.push_back(i);
      }
    }
  });
  if (wanted.empty()) return;
  std::vector<Id> kept;
  Matrix matrix(wanted.size(), edition.header().dim);
  for (const std::size_t i : wanted) {
    std::ranges::copy(rows.row(i), matrix.row(kept.size()).begin());
    kept.push_back(ids[i]);
  }
  edition.reserve_leftovers(kept.size());
  edition.with_index([&] { edition.writable().add(matrix.view(), kept); });
  try {
    in_transaction([&](db::Store& store) {
      for (std::size_t i = 0; i < kept.size(); ++i) {
        store.insert_embedding(edition.id(), kept[i], std::as_const(matrix).row(i));
      }
    });
  } catch (...) {
    edition.drop(kept);
    throw;
  }
}

bool CatalogCore::switch_to(const std::shared_ptr<LiveEdition>& next, bool keep_old,
                            const std::function<bool()>& ready) {
  const std::lock_guard saving(saving_);
  const std::lock_guard writer(writer_mutex_);
  if (!ready()) return false;
  const std::shared_ptr<LiveEdition> old = serving();
  in_transaction([&](db::Store& store) {
    if (keep_old) {
      store.set_edition_state(old->id(), EditionState::kKept);
    } else {
      store.delete_edition(old->id());
    }
    store.set_meta(kPreviousEdition, fmt::to_string(old->id()));
    store.set_edition_state(next->id(), EditionState::kServing);
    store.set_edition_encoder_ref(next->id(), next->header().encoder_ref);
    store.next_generation();
  });
  set_live(next, nullptr);
  unsaved_ = std::max<std::uint64_t>(unsaved_, 1);
  snapshot_generation_ = 0;
  // Their places only: open_index() finds what a crash leaves here.
  std::error_code ignored;
  const auto place = snapshot_path(path_, 0, true);
  const auto old_place = snapshot_path(path_, old->id(), false);
  if (keep_old) std::filesystem::rename(place, old_place, ignored);
  std::filesystem::rename(snapshot_path(path_, next->id(), false), place, ignored);
  return true;
}

void CatalogCore::drop_edition(std::int64_t id) {
  const auto turn = take_turn();      // so that nobody is building it
  const auto adders = hold_adders();  // nor bringing it embeddings
  const std::lock_guard saving(saving_);
  const std::lock_guard writer(writer_mutex_);
  if (id == serving()->id()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("edition {} of the catalogue {} serves, and cannot be deleted", id,
                            path_.string()));
  }
  in_transaction([&](db::Store& store) {
    const std::vector<db::EditionHeader> editions = store.editions();
    if (std::ranges::find(editions, id, &db::EditionHeader::id) == editions.end()) {
      throw Error(ErrorCode::kKeyNotFound,
                  fmt::format("the catalogue {} has no edition {}", path_.string(), id));
    }
    store.delete_edition(id);
  });
  std::error_code ignored;
  std::filesystem::remove(snapshot_path(path_, id, false), ignored);
}

void CatalogCore::replace_serving(std::shared_ptr<LiveEdition> next) {
  set_live(std::move(next), live().building);
  unsaved_ = std::max<std::uint64_t>(unsaved_, 1);
}

CatalogInfo CatalogCore::info() const {
  CatalogInfo info;
  const auto edition = serving();
  const db::EditionHeader& header = edition->header();
  info.path = path_;
  info.encoder = header.encoder_ref;
  info.encoder_name = header.encoder_name;
  info.encoder_fingerprint = header.encoder_fingerprint;
  info.dim = header.dim;
  info.metric = header.metric;
  in_store([&](db::Store& store) {
    info.items = store.item_count();
    info.pictures = store.picture_count();
    info.generation = store.generation();
  });
  info.snapshot_generation = snapshot_generation_;
  info.disk_bytes = bytes_in(path_);
  info.index = edition->with_index([&] { return edition->index().stats(); });
  return info;
}

NearPictures CatalogCore::near_pictures(const Edition& edition, std::span<const float> query,
                                        const SearchOptions& options) const {
  const auto* live = dynamic_cast<const LiveEdition*>(&edition);
  if (live == nullptr) {
    throw Error(ErrorCode::kInvalidArgument,
                "the edition is not one that Catalog::serving() gave; search with one that is");
  }
  const std::shared_lock replacing(replacing_);
  const std::vector<Neighbor> found =
      live->with_index([&] { return live->index().search(query, options); });
  NearPictures result;
  result.horizon =
      found.size() == options.k ? found.back().distance : std::numeric_limits<float>::infinity();
  result.entries.reserve(found.size());
  const std::lock_guard lock(store_mutex_);
  for (const Neighbor& neighbor : found) {
    std::optional<PictureRecord> picture = store_->picture(neighbor.id);
    if (picture) result.entries.push_back({*std::move(picture), neighbor.distance});
  }
  return result;
}

IdFilter CatalogCore::match(const Filter& filter) const {
  const InStore in_store = [this](const std::function<void(db::Database&)>& use) {
    this->in_store([&](db::Store& store) { use(store.database()); });
  };
  return matching_pictures(filter.root(), store_->fields(), in_store);
}

void CatalogCore::declare_field(const Field& field) {
  const std::lock_guard writer(writer_mutex_);
  bool is_new = false;
  in_transaction([&](db::Store& store) { is_new = store.fields().declare(field); });
  if (is_new) in_store([](db::Store& store) { store.fields().load(); });
}

void CatalogCore::drop_field(const std::string& name) {
  const std::lock_guard writer(writer_mutex_);
  bool was_there = false;
  in_transaction([&](db::Store& store) { was_there = store.fields().drop(name); });
  if (!was_there) {
    throw Error(ErrorCode::kKeyNotFound,
                fmt::format("the catalogue {} has no declared field '{}'; fields() lists them",
                            path_.string(), name));
  }
  in_store([](db::Store& store) { store.fields().load(); });
}

}  // namespace vsearch::detail

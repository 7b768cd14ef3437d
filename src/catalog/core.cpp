#include "catalog/core.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <shared_mutex>
#include <system_error>
#include <utility>

#include "catalog/filter_plan.h"
#include "catalog/snapshot.h"
#include "util/folder_names.h"

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
  SnapshotStamp stamp{random_name(), 0, 0};
  const std::uint64_t saved = unsaved_;
  // The stamp is known before the snapshot that has it is in place. If a crash or an error comes
  // between, the old snapshot goes on to be valid.
  in_transaction([&](db::Store& store) {
    stamp.generation = store.generation();
    // Not of memory: what was given to pictures whose commit failed is given again.
    stamp.last_picture_id = store.last_picture_id();
    if (!serving) {
      // The next edition may yet get an embedding of these, which this snapshot lacks.
      const std::vector<Id> lacking = store.unembedded_ids(edition.id(), 0, 1);
      if (!lacking.empty()) {
        stamp.last_picture_id = std::min(stamp.last_picture_id, lacking.front() - 1);
      }
    }
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

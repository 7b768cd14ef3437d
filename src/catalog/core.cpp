#include "catalog/core.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <shared_mutex>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "catalog/filter_sql.h"
#include "catalog/item_check.h"
#include "catalog/snapshot.h"

namespace vsearch::detail {
namespace {

constexpr std::int64_t kItemsPerRead = 4096;  // of a filter, so that others get at the store

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
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code gone;  // a file may go away meanwhile
    const std::uint64_t size = entry->file_size(gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

// Whether the pictures of `item` are those of `old`, known by path and content.
bool same_pictures(const ReadyItem& item, const db::StoredItem& old) {
  return std::ranges::equal(item.pictures, old.pictures, [](const auto& a, const auto& b) {
    return !a.content_hash.empty() && a.content_hash == b.content_hash && a.path == b.path;
  });
}

}  // namespace

template <typename Call>
auto CatalogCore::with_index(Call call) const {
  try {
    return call();
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kCorrupt) throw;
    std::error_code gone;
    std::filesystem::remove(path_ / "index.snapshot", gone);
    throw Error(ErrorCode::kCorrupt,
                fmt::format("the index of the catalogue {} cannot be used: {}. Open the catalogue "
                            "again: it builds its index anew, and nothing is lost",
                            path_.string(), e.what()));
  }
}

CatalogCore::CatalogCore(const std::filesystem::path& path, const CatalogOptions& options)
    : path_(checked_directory(path)),
      process_(::getpid()),
      log_(options.log),
      encoder_loader_(options.encoder_loader),
      owner_(path_),
      store_(std::make_unique<db::Store>(path_ / "catalog.db")),
      header_(store_->header()),
      index_(open_checked_index(options)),
      encoder_(options.encoder),
      last_picture_id_(store_->last_picture_id()) {}

Index CatalogCore::open_checked_index(const CatalogOptions& options) {
  if (options.encoder) check_encoder(*options.encoder);
  const std::filesystem::path snapshot = path_ / "index.snapshot";
  delete_unfinished_snapshots(snapshot);
  return open_index(*store_, snapshot, options.log, options.progress, unsaved_);
}

CatalogCore::~CatalogCore() {
  try {
    with_index([&] { return index_.size(); });
    if (unsaved_) save_snapshot();
  } catch (const std::exception& e) {
    log(LogLevel::kWarning, fmt::format("the index snapshot was not saved, the next open will make "
                                        "up for it: {}",
                                        e.what()));
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

void CatalogCore::check_encoder(const Encoder& encoder) const {
  const EncoderInfo& info = encoder.info();
  if (info.fingerprint == header_.encoder_fingerprint) return;
  throw Error(
      ErrorCode::kEncoderMismatch,
      fmt::format("the catalogue {} was made with the encoder {} (fingerprint {}), not with "
                  "{} (fingerprint {}); give it that encoder, or make a new catalogue",
                  path_.string(), header_.encoder_name, header_.encoder_fingerprint, info.name,
                  info.fingerprint));
}

Encoder& CatalogCore::encoder() const {
  const std::lock_guard lock(encoder_mutex_);
  if (!encoder_) {
    if (!encoder_loader_) {
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("the catalogue {} needs its encoder {} to look at pictures; give an "
                              "encoder or an encoder_loader in CatalogOptions",
                              path_.string(), header_.encoder_ref));
    }
    std::shared_ptr<Encoder> loaded = encoder_loader_(header_.encoder_ref);
    if (!loaded) {
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("the encoder_loader gave no encoder for {}", header_.encoder_ref));
    }
    check_encoder(*loaded);
    encoder_ = std::move(loaded);
  }
  return *encoder_;
}

template <typename Change>
void CatalogCore::in_transaction(Change change) {
  const std::lock_guard lock(store_mutex_);
  db::Transaction transaction(store_->database());
  change(*store_);
  transaction.commit();
}

void CatalogCore::drop_from_index(std::span<const Id> ids) {
  leftovers_.insert(leftovers_.end(), ids.begin(), ids.end());
  if (leftovers_.empty()) return;
  unsaved_ = true;
  try {
    with_index([&] { return index_.remove(leftovers_); });
    leftovers_.clear();
  } catch (const std::exception& e) {
    log(LogLevel::kWarning, fmt::format("{} removed pictures stay in the index for now, unseen: {}",
                                        leftovers_.size(), e.what()));
  }
}

CommitCounts CatalogCore::commit(std::span<const ReadyItem> items) {
  const std::lock_guard writer(writer_mutex_);
  struct Plan {
    const ReadyItem* item;
    std::optional<db::StoredItem> old;
    bool new_pictures;
  };
  CommitCounts counts;
  std::vector<Plan> plans;
  std::vector<Id> old_ids;
  std::size_t new_rows = 0;
  in_store([&](db::Store& store) {
    for (const ReadyItem& item : items) {
      Plan plan{&item, store.item(item.key), true};
      ++(plan.old ? counts.replaced : counts.added);
      if (plan.old && same_pictures(item, *plan.old)) {
        plan.new_pictures = false;
        if (plan.old->metadata == item.metadata) continue;  // as it is already
      }
      if (plan.new_pictures) {
        new_rows += item.pictures.size();
        if (plan.old) {
          for (const db::StoredPicture& picture : plan.old->pictures) old_ids.push_back(picture.id);
        }
      }
      plans.push_back(std::move(plan));
    }
  });
  if (plans.empty()) return counts;

  std::vector<Id> ids;
  Matrix rows(new_rows, header_.dim);
  for (const Plan& plan : plans) {
    if (!plan.new_pictures) continue;
    for (const ReadyPicture& picture : plan.item->pictures) {
      std::ranges::copy(picture.embedding, rows.row(ids.size()).begin());
      ids.push_back(++last_picture_id_);
    }
  }
  // So that drop_from_index() cannot fail where nothing may fail any more.
  leftovers_.reserve(leftovers_.size() + ids.size() + old_ids.size());
  with_index([&] { index_.add(rows.view(), ids); });
  try {
    std::unique_lock replacing(replacing_, std::defer_lock);
    if (!old_ids.empty()) replacing.lock();
    in_transaction([&](db::Store& store) {
      auto id = ids.begin();
      for (const Plan& plan : plans) {
        std::int64_t item = 0;
        if (!plan.old) {
          item = store.insert_item(plan.item->key, plan.item->metadata);
        } else {
          item = plan.old->id;
          store.set_metadata(item, plan.item->metadata);
          if (plan.new_pictures) store.delete_pictures(item);
        }
        if (!plan.new_pictures) continue;
        for (std::size_t i = 0; i < plan.item->pictures.size(); ++i, ++id) {
          const ReadyPicture& picture = plan.item->pictures[i];
          store.insert_picture(*id, item, i, picture.path, picture.content_hash, picture.embedding);
        }
      }
      store.next_generation();
    });
  } catch (...) {
    drop_from_index(ids);
    throw;
  }
  if (!ids.empty()) unsaved_ = true;
  drop_from_index(old_ids);
  return counts;
}

std::vector<std::string> CatalogCore::remove(std::span<const std::string> keys) {
  const std::lock_guard writer(writer_mutex_);
  std::vector<std::string> absent;
  std::vector<std::int64_t> items;
  std::vector<Id> ids;
  in_store([&](db::Store& store) {
    std::unordered_set<std::string_view> seen;
    for (const std::string& key : keys) {
      if (!seen.insert(key).second) continue;
      const std::optional<db::StoredItem> item = store.item(key);
      if (!item) {
        absent.push_back(key);
        continue;
      }
      items.push_back(item->id);
      for (const db::StoredPicture& picture : item->pictures) ids.push_back(picture.id);
    }
  });
  if (items.empty()) return absent;
  leftovers_.reserve(leftovers_.size() + ids.size());
  in_transaction([&](db::Store& store) {
    for (const std::int64_t item : items) store.delete_item(item);
    store.next_generation();
  });
  drop_from_index(ids);
  return absent;
}

std::vector<std::string> CatalogCore::patch(std::span<const MetadataPatch> patches) {
  const std::lock_guard writer(writer_mutex_);
  struct Change {
    std::int64_t item;
    std::string before;
    std::string after;
  };
  std::unordered_map<std::string_view, std::optional<Change>> changes;  // none: no such item
  std::vector<std::string> absent;
  in_store([&](db::Store& store) {
    for (const MetadataPatch& patch : patches) {
      const auto [change, is_new] = changes.try_emplace(patch.key);
      if (!is_new) continue;
      const std::optional<db::StoredItem> item = store.item(patch.key);
      if (item) {
        change->second = {item->id, item->metadata, item->metadata};
      } else {
        absent.push_back(patch.key);
      }
    }
  });
  for (const MetadataPatch& patch : patches) {
    std::optional<Change>& change = changes[patch.key];
    if (change) change->after = merged_metadata(change->after, patch);
  }
  std::erase_if(changes, [](const auto& entry) {
    return !entry.second || entry.second->before == entry.second->after;
  });
  if (changes.empty()) return absent;
  in_transaction([&](db::Store& store) {
    for (const auto& [key, change] : changes) store.set_metadata(change->item, change->after);
    store.next_generation();
  });
  return absent;
}

void CatalogCore::save_snapshot() {
  const std::lock_guard writer(writer_mutex_);
  with_index([&] { return index_.remove(leftovers_); });
  leftovers_.clear();
  // The stamp is known before the snapshot that has it is in place. If a crash or an error comes
  // between, the old snapshot goes on to be valid.
  const std::string stamp = random_name();
  in_transaction([&](db::Store& store) { store.set_meta(kNextStamp, stamp); });
  index_.save(path_ / "index.snapshot", stamp);
  in_transaction([&](db::Store& store) {
    store.set_meta(kCurrentStamp, stamp);
    store.delete_meta(kNextStamp);
  });
  unsaved_ = false;
}

CatalogInfo CatalogCore::info() const {
  CatalogInfo info;
  info.path = path_;
  info.encoder = header_.encoder_ref;
  info.encoder_name = header_.encoder_name;
  info.encoder_fingerprint = header_.encoder_fingerprint;
  info.dim = header_.dim;
  info.metric = header_.metric;
  in_store([&](db::Store& store) {
    info.items = store.item_count();
    info.pictures = store.picture_count();
    info.generation = store.generation();
  });
  info.disk_bytes = bytes_in(path_);
  info.index = with_index([&] { return index_.stats(); });
  return info;
}

NearPictures CatalogCore::near_pictures(std::span<const float> query,
                                        const SearchOptions& options) const {
  const std::shared_lock replacing(replacing_);
  const std::vector<Neighbor> found = with_index([&] { return index_.search(query, options); });
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
  const FilterSql sql = filter_to_sql(filter.root());
  const std::int64_t last = in_store([](db::Store& store) { return store.last_item_id(); });
  IdFilter result;
  for (std::int64_t first = 1; first <= last; first += kItemsPerRead) {
    const std::vector<Id> ids = in_store([&](db::Store& store) {
      return store.matching_pictures(sql, first, first + kItemsPerRead - 1);
    });
    for (const Id id : ids) result.insert(id);
  }
  return result;
}

}  // namespace vsearch::detail

// An open catalogue: the store, the editions beside it, and who may do what at which time.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/live_edition.h"
#include "catalog/owner_lock.h"
#include "catalog/snapshot_saver.h"
#include "catalog/store.h"
#include "index/fair_shared_mutex.h"
#include "vsearch/catalog.h"

namespace vsearch::detail {

// Where the store keeps the edition that served before.
inline constexpr std::string_view kPreviousEdition = "previous_edition";

// An embedding, and the edition it belongs to.
struct EditionVector {
  std::int64_t edition = 0;
  std::vector<float> values;
};

// An item that is ready to be committed.
struct ReadyPicture {
  db::StoredPicture picture;              // but for its id
  std::vector<std::byte> kept_bytes;      // empty: none
  std::vector<EditionVector> embeddings;  // of the serving edition, and perhaps of the next
};
struct ReadyItem {
  std::string key;
  std::string metadata;
  std::vector<ReadyPicture> pictures;
  // If there is an item of this key when it is written, its metadata are taken instead: they may
  // have been patched since `metadata` were read. Empty: not.
  std::string keeps_metadata_of{};
};
struct CommitCounts {
  std::uint64_t added = 0;
  std::uint64_t replaced = 0;
};

// The editions in memory at one moment.
struct LiveEditions {
  std::uint64_t epoch = 0;  // counts changes of the other two
  std::shared_ptr<LiveEdition> serving;
  std::shared_ptr<LiveEdition> building;  // may be null
};

// Mutexes, taken in this order: `maintenance_` by long work of which one at a time may run, for
// all of it; `copying_` by what copies the store's file or writes it anew, for all of that;
// `editions_` shared while pictures are encoded and committed, and exclusively while one
// edition takes the place of another; `saving_` for as long as a snapshot is saved; `writer_mutex_`
// for as long as a change takes; `replacing_` shared for one search and exclusively for one
// transaction that replaces items; `store_mutex_` for one transaction or one read of the store.
// Nothing is encoded under the last three, but for the few pictures that an edition lacks in the
// moment it takes the place of another.
//
// What is found in the index and not in the store is not shown. So new vectors go into the index
// before the commit and old ones leave it after, and no commit that replaces items comes between a
// search of the index and the look-up of what it found: at no time does an item that is there fail
// to be found. If the index refuses a vector nothing has happened yet. An id is given once and its
// vector never changes.
class CatalogCore {
 public:
  CatalogCore(const std::filesystem::path& path, const CatalogOptions& options);
  ~CatalogCore();
  CatalogCore(const CatalogCore&) = delete;
  CatalogCore& operator=(const CatalogCore&) = delete;

  // Whether this is a process forked from the one that opened the catalogue. SQLite must not be
  // touched there, not even to close it.
  bool in_forked_child() const;
  void check_process() const;  // throws kBusy in a forked child

  const std::filesystem::path& path() const { return path_; }
  const Fetch& fetch() const { return fetch_; }
  const EncoderLoader& encoder_loader() const { return encoder_loader_; }
  void log(LogLevel level, const std::string& message) const;

  LiveEditions live() const;
  std::shared_ptr<LiveEdition> serving() const { return live().serving; }

  // Held while long work runs. Throws nothing; waits for its turn.
  std::unique_lock<std::mutex> take_turn() { return std::unique_lock(maintenance_); }
  // Held while the file of the store is copied or written anew.
  std::unique_lock<std::mutex> keep_file() { return std::unique_lock(copying_); }
  // Held from live() until what was encoded for it is committed.
  std::shared_lock<index::FairSharedMutex> keep_editions() { return std::shared_lock(editions_); }

  // For items that were encoded for `live`, under keep_editions().
  CommitCounts commit(std::span<const ReadyItem> items, const LiveEditions& live);
  // Metadata, and what may change of pictures whose content does not, of items that still have the
  // pictures of `items`; others are left as they are.
  void update(std::span<const ReadyItem> items);
  std::vector<std::string> remove(std::span<const std::string> keys);
  std::vector<std::string> patch(std::span<const MetadataPatch> patches);
  void save_snapshot();

  // What follows is for the work that makes editions (reencoder.h).
  // From now on commits go to `edition`, too; null: no longer.
  void set_building(std::shared_ptr<LiveEdition> edition);
  // Adds embeddings of pictures, those still there, under keep_writers_out().
  void commit_embeddings(LiveEdition& edition, std::span<const Id> ids, const Matrix& rows);
  // Writes the snapshot of an edition that does not serve.
  void save_building(LiveEdition& edition);
  // Lets the edition that is being built serve, under hold_adders(). `ready` is called with writers
  // kept out, and may add its last embeddings; if it returns false nothing happens.
  bool switch_to(const std::shared_ptr<LiveEdition>& next, bool keep_old,
                 const std::function<bool()>& ready);
  void drop_edition(std::int64_t id);
  // Lets `next`, the same edition with another index of the same pictures, take the place of the
  // serving one, under hold_adders() and keep_writers_out().
  void replace_serving(std::shared_ptr<LiveEdition> next);
  // Keeps snapshots as they are while it is held.
  std::unique_lock<std::mutex> keep_snapshots() { return std::unique_lock(saving_); }
  // Waits until nobody keeps editions, and keeps others from it.
  std::unique_lock<index::FairSharedMutex> hold_adders() { return std::unique_lock(editions_); }

  CatalogInfo info() const;
  NearPictures near_pictures(const Edition& edition, std::span<const float> query,
                             const SearchOptions& options) const;
  IdFilter match(const Filter& filter) const;

  // Throws kInvalidArgument if a declared field has a value of another type.
  template <typename Metadata>  // a text or a value
  void check_fields(const Metadata& metadata) const {
    store_->fields().check(metadata);
  }
  void declare_field(const Field& field);
  void drop_field(const std::string& name);

  // Runs `read` on the store.
  template <typename Read>
  auto in_store(Read read) const {
    const std::lock_guard lock(store_mutex_);
    return read(*store_);
  }
  // Runs `change` on the store in a transaction.
  template <typename Change>
  void in_transaction(Change change) {
    const std::lock_guard lock(store_mutex_);
    db::Transaction transaction(store_->database());
    change(*store_);
    transaction.commit();
  }
  // Keeps writers out while it is held.
  std::unique_lock<std::mutex> keep_writers_out() { return std::unique_lock(writer_mutex_); }

 private:
  struct Plan;
  static Plan plan_of(db::Store& store, const ReadyItem& item);
  std::shared_ptr<LiveEdition> open_serving(const CatalogOptions& options);
  void drop_from_index(const LiveEditions& live, std::span<const Id> ids);
  static bool has_as_much(db::Store& store, const db::EditionHeader& serving, const ReadyItem& item,
                          const db::StoredItem& old);
  static void add_to_index(LiveEdition& edition, std::span<const Plan> plans);
  static void write_items(db::Store& store, std::span<const Plan> plans, const LiveEditions& live);
  void note_changes(std::uint64_t changes);
  void save(LiveEdition& edition, bool serving);
  void log_unless_it_fails(const char* what, const std::exception& e) const noexcept;
  void set_live(std::shared_ptr<LiveEdition> serving, std::shared_ptr<LiveEdition> building);

  const std::filesystem::path path_;
  const pid_t process_;
  const LogCallback log_;
  const EncoderLoader encoder_loader_;
  const Fetch fetch_;
  const OwnerLock owner_;
  std::mutex maintenance_;
  std::mutex copying_;
  index::FairSharedMutex editions_;
  mutable index::FairSharedMutex replacing_;
  mutable std::mutex store_mutex_;
  const std::unique_ptr<db::Store> store_;  // guarded by store_mutex_

  std::uint64_t unsaved_ = 0;  // changes that the snapshot lacks; guarded by writer_mutex_
  std::atomic<std::uint64_t> snapshot_generation_ = 0;
  mutable std::mutex live_mutex_;  // of live_ alone
  LiveEditions live_;

  std::mutex writer_mutex_;
  Id last_picture_id_ = 0;  // guarded by writer_mutex_
  std::mutex saving_;

  SnapshotSaver saver_;  // last: its thread uses what is above
};

}  // namespace vsearch::detail

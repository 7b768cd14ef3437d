// An open catalogue: the store, the index beside it, and who may do what at which time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "catalog/owner_lock.h"
#include "catalog/store.h"
#include "index/fair_shared_mutex.h"
#include "vsearch/catalog.h"

namespace vsearch::detail {

// An item that is ready to be committed.
struct ReadyPicture {
  std::string path;
  std::string content_hash;  // empty if it was given as an embedding
  std::vector<float> embedding;
};
struct ReadyItem {
  std::string key;
  std::string metadata;
  std::vector<ReadyPicture> pictures;
};
struct CommitCounts {
  std::uint64_t added = 0;
  std::uint64_t replaced = 0;
};

// Three mutexes, taken in this order: `writer_mutex_` for as long as a change takes; `replacing_`
// shared for one search and exclusively for one transaction that replaces items; `store_mutex_` for
// one transaction or one read of the store. Nothing is encoded under any of them.
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
  const Index& index() const { return index_; }
  const db::StoreHeader& header() const { return header_; }
  Encoder& encoder() const;

  CommitCounts commit(std::span<const ReadyItem> items);
  std::vector<std::string> remove(std::span<const std::string> keys);
  std::vector<std::string> patch(std::span<const MetadataPatch> patches);
  void save_snapshot();

  CatalogInfo info() const;
  NearPictures near_pictures(std::span<const float> query, const SearchOptions& options) const;
  IdFilter match(const Filter& filter) const;

  // Runs `read` on the store.
  template <typename Read>
  auto in_store(Read read) const {
    const std::lock_guard lock(store_mutex_);
    return read(*store_);
  }

 private:
  Index open_checked_index(const CatalogOptions& options);
  template <typename Change>
  void in_transaction(Change change);
  void check_encoder(const Encoder& encoder) const;
  void drop_from_index(std::span<const Id> ids);
  // Calls the index. If it says that the snapshot it comes from is damaged, deletes that, so that
  // the next open builds the index anew, and throws kCorrupt, which says so.
  template <typename Call>
  auto with_index(Call call) const;
  void log(LogLevel level, const std::string& message) const;

  const std::filesystem::path path_;
  const pid_t process_;
  const LogCallback log_;
  const EncoderLoader encoder_loader_;
  const OwnerLock owner_;
  mutable index::FairSharedMutex replacing_;
  mutable std::mutex store_mutex_;
  const std::unique_ptr<db::Store> store_;  // guarded by store_mutex_
  const db::StoreHeader header_;
  bool unsaved_ = false;  // the snapshot lacks something; guarded by writer_mutex_
  Index index_;

  mutable std::mutex encoder_mutex_;
  mutable std::shared_ptr<Encoder> encoder_;  // set once

  std::mutex writer_mutex_;
  // Guarded by writer_mutex_:
  Id last_picture_id_ = 0;
  std::vector<Id> leftovers_;  // ids that should have left the index; tried again
};

}  // namespace vsearch::detail

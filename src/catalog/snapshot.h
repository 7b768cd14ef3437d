// The index of an edition: from its snapshot if that is sound, and always as catalog.db says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "catalog/store.h"
#include "vsearch/index.h"
#include "vsearch/types.h"

namespace vsearch::detail {

// Where the snapshot of an edition lies: index.snapshot if it serves, else one named after it.
std::filesystem::path snapshot_path(const std::filesystem::path& directory, std::int64_t edition,
                                    bool serving);

// What a snapshot carries: a random name, by which the store knows it, and what of the store it
// holds: all pictures up to this change of the catalogue, whose ids go up to this one.
struct SnapshotStamp {
  std::string name;
  std::uint64_t generation = 0;
  Id last_picture_id = 0;

  std::string text() const;
};
// Nothing for what is no such text, as the stamps of older versions.
std::optional<SnapshotStamp> parse_stamp(const std::string& text);

// Lends the store for one short call at a time.
using StoreAccess = std::function<void(const std::function<void(db::Store&)>&)>;

struct OpenedIndex {
  Index index;
  std::uint64_t changes = 0;  // that the snapshot on disk lacks
  // The change of the catalogue that the snapshot on disk holds; 0 without one.
  std::uint64_t snapshot_generation = 0;
};

// Loads the snapshot of an edition and brings it in step with `store`, or builds the index anew if
// there is none that can be used (said in the log). A snapshot belongs to the store if the store
// knows its stamp: not one of another catalogue, nor one newer than a store that was restored from
// a backup. That of the serving edition is brought in step by what has changed since; others, and
// those of older versions, by comparing all ids. `progress` counts the pictures that must be added.
// Throws kCorrupt (the store is damaged), kCancelled, kOutOfMemory, kIo.
OpenedIndex open_index(const StoreAccess& in_store, const db::EditionHeader& edition,
                       const std::filesystem::path& directory, const LogCallback& log,
                       const Progress& progress);

// Deletes what savings that were cut short by a crash have left in `directory`, and snapshots of
// editions that are no more: nobody would ever read them. Only for the catalogue's owner.
void delete_stray_snapshots(db::Store& store, const std::filesystem::path& directory);

// A random name that no other catalogue or snapshot has: 32 hex digits.
std::string random_name();

}  // namespace vsearch::detail

// The index of a catalogue: from its snapshot if that is sound, and always as catalog.db says.
#pragma once

#include <filesystem>

#include "catalog/store.h"
#include "vsearch/index.h"
#include "vsearch/types.h"

namespace vsearch::detail {

// Loads the snapshot and brings it in step with `store`, or builds the index anew if there is none
// that can be used (said in the log). A snapshot belongs to the store if the store knows its stamp:
// not one of another catalogue, nor one newer than a store that was restored from a backup.
// `progress` counts the pictures that must be added; `unsaved` is set if the snapshot on disk does
// not hold what is returned.
// Throws kCorrupt (the store is damaged), kCancelled, kOutOfMemory, kIo.
Index open_index(db::Store& store, const std::filesystem::path& snapshot, const LogCallback& log,
                 const Progress& progress, bool& unsaved);

// Deletes what savings that were cut short by a crash have left beside `snapshot`: nobody would
// ever read it. Only for the catalogue's owner.
void delete_unfinished_snapshots(const std::filesystem::path& snapshot);

// A random name that no other catalogue or snapshot has: 32 hex digits.
std::string random_name();

// Where the store keeps the stamps it knows: of the snapshot in place, and of one that was about to
// be put there.
inline constexpr std::string_view kCurrentStamp = "snapshot_current";
inline constexpr std::string_view kNextStamp = "snapshot_next";

}  // namespace vsearch::detail

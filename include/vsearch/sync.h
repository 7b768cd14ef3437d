// Bringing a catalogue in step with what a shop has.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "vsearch/error.h"
#include "vsearch/types.h"

namespace vsearch {

// What sync() does with a new item that is a near-duplicate of one that is there.
enum class Duplicates {
  kKeep,  // adds it like any other
  kSkip,  // leaves it out, and says so
  kLink,  // adds it, with the other item's key as "duplicate_of" in its metadata
};

struct SyncOptions {
  bool dry_run = false;        // only say what would be done
  bool remove_missing = true;  // items that the source does not list go
  // More removals than this share of the items there were are refused, before anything is done: an
  // unmounted disk looks like an empty shop. 1: no such guard.
  double max_removed_share = 0.2;
  // Put before every key of the source; items whose keys do not begin with it are left alone. So
  // several sources can fill one catalogue.
  std::string key_prefix{};
  Duplicates duplicates = Duplicates::kKeep;
  float duplicate_distance = 0.02F;  // items this near are duplicates
};

enum class SyncAction {
  kAdd,
  kReplace,  // a picture has changed: it is encoded
  kRename,   // its pictures were those of another item, which goes: nothing is encoded
  kPatch,    // only metadata, roles or paths have changed
  kRemove,
  kDuplicate,  // a new item that is left out
};
// "add", "replace", "rename", "patch", "remove", "duplicate".
std::string_view sync_action_name(SyncAction action);

struct SyncChange {
  SyncAction action = SyncAction::kAdd;
  std::string key;
  std::string other;  // of kRename the old key; of kDuplicate the item it is like
};

// A picture, or an item, that could not be taken; the catalogue holds of it what it held before.
struct SyncFailure {
  std::string key;
  std::string path;
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

struct SyncReport {
  std::uint64_t listed = 0;  // items in the source
  std::uint64_t unchanged = 0;
  std::uint64_t encoded = 0;        // pictures
  std::vector<SyncChange> changes;  // what was done or, on a dry run, would be; in key order
  std::vector<SyncFailure> failures;
  std::vector<std::string> problems;  // what could not be read of the source, and why. Then nothing
                                      // is removed
  std::uint64_t count(SyncAction action) const;
};

struct WatchOptions {
  // How long a folder must be quiet before what has changed in it is taken.
  std::chrono::milliseconds quiet{300};
};

}  // namespace vsearch

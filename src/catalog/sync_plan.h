// What a catalogue and a source differ in.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "catalog/core.h"
#include "vsearch/source.h"
#include "vsearch/sync.h"

namespace vsearch::detail {

// An item that is as it should be but for what costs nothing: metadata, roles, paths, stamps.
struct SyncPatch {
  ReadyItem item;        // without embeddings
  bool visible = false;  // whether anything but stamps changes
};

struct SyncPlan {
  std::uint64_t stored = 0;  // items in the catalogue that the source is about
  std::uint64_t listed = 0;
  std::uint64_t unchanged = 0;
  bool says_metadata = true;  // else items keep those that they have when they are written
  std::vector<std::string> problems;
  std::vector<SourceItem> adds;                // keys with the prefix
  std::map<std::string, std::string> renames;  // of `adds`, the old keys of those that had others
  std::vector<SourceItem> replacements;
  std::vector<SyncPatch> patches;
  std::vector<std::string> removals;   // old keys of renamed items among them
  std::vector<std::string> forgotten;  // keys that were left out once and are listed no longer

  std::uint64_t steps() const {
    return adds.size() + replacements.size() + patches.size() + removals.size();
  }
  std::vector<SyncChange> changes() const;  // in key order
};

// Where a linked item's metadata name the one it is like.
inline constexpr const char* kLinkField = "duplicate_of";
std::string linked_metadata(const std::string& metadata, const std::string& key);

// Compares by size and time, then by content: files whose stamp is another are read, and, where
// items go, new ones that may be theirs. Changes nothing. `go_on` is asked from time to time; it
// may throw. Throws what list_source() throws; kRefused (more would go than options allow).
SyncPlan plan_sync(const CatalogCore& core, const Source& source, const SyncOptions& options,
                   const std::function<void()>& go_on);

}  // namespace vsearch::detail

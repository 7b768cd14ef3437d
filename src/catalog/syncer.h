// Catalog::sync: a catalogue is brought in step with a source.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "catalog/core.h"
#include "catalog/sync_plan.h"
#include "vsearch/source.h"
#include "vsearch/sync.h"

namespace vsearch::detail {

// One call of sync(). The plan is made first and refused as a whole, if it must be; then what is
// new is added, so that the embeddings of what was renamed are still there, and at last what is
// gone is removed. Every step is committed by itself and seen as done by the next plan.
class Syncer {
 public:
  // Throws kInvalidArgument (options that make no sense).
  Syncer(CatalogCore& core, const Source& source, const SyncOptions& options,
         const Progress& progress);

  SyncReport run();

 private:
  void add(std::span<const SourceItem> items);
  void keep_metadata(ReadyItem& item) const;
  void screen(std::vector<ReadyItem>& items, const LiveEditions& live);
  void patch();
  void remove();
  void tell(std::uint64_t done);
  [[noreturn]] void fail_cancelled() const;
  void drop_failed_changes();

  CatalogCore& core_;
  const Source& source_;
  const SyncOptions& options_;
  const Progress& progress_;
  SyncPlan plan_;
  SyncReport report_;
  std::unordered_set<std::string> leaving_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace vsearch::detail

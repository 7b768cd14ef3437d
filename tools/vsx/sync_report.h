// What vsx sync tells of what was done, or would be.
#pragma once

#include <optional>
#include <string>

#include "vsearch/sync.h"

namespace vsx {

struct SyncTelling {
  bool dry_run = false;
  bool all_changes = false;         // not the first alone
  std::optional<double> seconds{};  // how long it took
};

// "synchronised 1,203 items in 4.2 s: 12 added, 1 removed, 1,190 unchanged; 15 pictures encoded".
std::string summary_of(const vsearch::SyncReport& report, const SyncTelling& how);

// A line a change: what is done and the key. Empty if there are none.
std::string changes_text(const vsearch::SyncReport& report, const SyncTelling& how);

// One JSON object, over several lines if `indent` is not -1.
std::string as_json(const vsearch::SyncReport& report, const SyncTelling& how, int indent);

}  // namespace vsx

// Looking after a catalogue: what its checks, its clean-up and its search for duplicates report.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vsearch/index_health.h"

namespace vsearch {

struct CheckOptions {
  HealthOptions health{};  // of the index; its sample is also compared with the store's vectors
  double min_self_recall = 0.9;
};

// What Catalog::check() found. The catalogue is sound if `faults` is empty.
struct CheckReport {
  std::vector<std::string> faults;  // what is wrong, and the remedy
  std::uint64_t items = 0;
  std::uint64_t pictures = 0;
  std::uint64_t without_embedding = 0;  // pictures the serving edition cannot find
  std::uint64_t orphans = 0;            // rows that belong to nothing; compact() deletes them
  std::uint64_t index_missing = 0;      // pictures that should be in the index and are not
  std::uint64_t index_extra = 0;        // and the reverse
  std::uint64_t index_differs = 0;      // sampled vectors that are not those of the store
  IndexHealth health;
};

struct CompactReport {
  std::uint64_t bytes_before = 0;  // of the catalogue's directory
  std::uint64_t bytes_after = 0;
  bool index_rebuilt = false;  // it had holes, or was not in step with the database
};

struct ExportReport {
  std::uint64_t items = 0;
  std::uint64_t pictures = 0;
};

struct DuplicateOptions {
  // Pictures this near each other are near-duplicates; those of the same content and crop always
  // are.
  float max_distance = 0.02F;
  std::uint32_t neighbours = 16;  // of each picture that are looked at
};

// Items that look the same: each is near at least one other of its group.
struct DuplicateGroup {
  std::vector<std::string> keys;  // ascending; the item that was added first is `first`
  std::string first;
  float max_distance = 0;     // of the pairs that were found; 0 of those of the same content
  bool same_content = false;  // all have a picture file in common, byte for byte
};

}  // namespace vsearch

// What catalog.db says of an edition.
#pragma once

#include <cstdint>
#include <string>

#include "vsearch/edition.h"
#include "vsearch/types.h"

namespace vsearch::db {

struct EditionHeader {
  std::int64_t id = 0;
  EditionState state = EditionState::kBuilding;
  std::string encoder_ref;
  std::string encoder_name;
  std::string encoder_fingerprint;
  std::uint32_t dim = 0;
  Metric metric = Metric::kCosine;
  std::uint32_t links = 0;
  std::uint32_t build_breadth = 0;
};

// The stamps of the index snapshot in place, and of one that was about to be put there.
struct SnapshotStamps {
  std::string current;
  std::string next;
};

}  // namespace vsearch::db

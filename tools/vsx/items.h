// Items as vsx prints them.
#pragma once

#include <nlohmann/json.hpp>

#include "vsearch/catalog.h"

namespace vsx {

// {"key", "metadata", "pictures": [{"path", "role", "crop", "content_hash", "kept_bytes"}]}.
nlohmann::ordered_json item_json(const vsearch::ItemRecord& item);

}  // namespace vsx

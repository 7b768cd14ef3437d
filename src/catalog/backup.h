// Catalog::backup.
#pragma once

#include <filesystem>

#include "catalog/core.h"
#include "vsearch/catalog.h"

namespace vsearch::detail {

// See Catalog::backup(). Holds the store for some milliseconds at a time.
void backup(CatalogCore& core, const std::filesystem::path& path, const Progress& progress);

}  // namespace vsearch::detail

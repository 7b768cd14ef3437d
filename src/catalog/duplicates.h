// Catalog::near_duplicates.
#pragma once

#include <vector>

#include "catalog/core.h"
#include "vsearch/catalog.h"

namespace vsearch::detail {

// See Catalog::near_duplicates(). Needs some 32 bytes a picture.
std::vector<DuplicateGroup> near_duplicates(CatalogCore& core, const DuplicateOptions& options,
                                            const Progress& progress);

}  // namespace vsearch::detail

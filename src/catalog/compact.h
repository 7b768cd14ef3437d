// Catalog::compact.
#pragma once

#include "catalog/core.h"
#include "vsearch/catalog.h"

namespace vsearch::detail {

// See Catalog::compact().
CompactReport compact(CatalogCore& core, const Progress& progress);

}  // namespace vsearch::detail

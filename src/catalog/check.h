// Catalog::check.
#pragma once

#include "catalog/core.h"
#include "vsearch/catalog.h"

namespace vsearch::detail {

// See Catalog::check().
CheckReport check(CatalogCore& core, const CheckOptions& options, const Progress& progress);

}  // namespace vsearch::detail

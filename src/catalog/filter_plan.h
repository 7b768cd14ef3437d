// From a parsed filter to the pictures whose items match it, by the quickest way.
#pragma once

#include <functional>

#include "catalog/fields.h"
#include "catalog/filter_node.h"
#include "catalog/sqlite.h"
#include "vsearch/index.h"

namespace vsearch::detail {

// Runs what it is given on the store while nobody else is at it.
using InStore = std::function<void(const std::function<void(db::Database&)>&)>;

// The pictures of the items that match. `fields` is used within `in_store` only, but for what may
// be used at any time.
//
// Conditions on declared fields are scans of their index, of which the one that finds least comes
// first. The rest is found by SQL on the metadata: of those pictures that are left, if the scans
// have left few; else of all items, some thousands at a time, and others get at the store in
// between. A filter on declared fields alone is answered as of one moment; of any other each item
// is looked at at moments of its own, one for each AND, OR and NOT that has both kinds in it.
//
// Nothing the user wrote gets into SQL: names and values are parameters.
// Throws what Database throws.
IdFilter matching_pictures(const FilterNode& root, db::FieldIndex& fields, const InStore& in_store);

}  // namespace vsearch::detail

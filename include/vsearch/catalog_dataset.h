// The picture files of a catalogue as a data set, to audit, to evaluate and to learn from.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vsearch/catalog.h"
#include "vsearch/dataset.h"
#include "vsearch/edition.h"

namespace vsearch {

// What the catalogue keeps itself and what a URI names is left out. Metadata with texts are fields
// of the data set. Its one protocol is leave one out. Threads: as Catalog::for_each().

// Labelled by fields of the items' metadata, as a filter names them; by several combined: an item
// that lacks one has no label. A field that is the label alone is no field of the data set. Throws
// kInvalidArgument (a name that is none; not two labels that two pictures have).
Dataset catalog_dataset(const Catalog& catalog, const std::vector<std::string>& label_fields);

// Labelled by what belongs together: items and the answers that are right for them, such as those
// that customers chose, and what belongs to these. Pictures that ask (LabelledQuery::path) are of
// the domain "query", those of items of the domain "catalogue". Items of no query have no label,
// and keys that the catalogue does not have say nothing. Throws kInvalidArgument (not two labels
// that two pictures have; one label that holds more than half of many pictures, because answers
// that hardly belong together chain everything).
Dataset catalog_dataset(const Catalog& catalog, std::span<const LabelledQuery> queries);

}  // namespace vsearch

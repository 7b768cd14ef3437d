// Two editions of a catalogue, side by side.
#pragma once

#include <span>

#include "catalog/core.h"
#include "vsearch/edition.h"

namespace vsearch::detail {

// Throws what would spoil the comparison hours later: kKeyNotFound (an item of a query, or none of
// its relevant ones, is there), kFileNotFound (its picture), kInvalidArgument (a query without
// either, or without relevant items).
void check_labelled_queries(const CatalogCore& core, std::span<const LabelledQuery> queries);

// Searches in both for the sample and the labelled queries of `options`.
EditionComparison compare_editions(const CatalogCore& core, const LiveEdition& before,
                                   const LiveEdition& after, const ReencodeOptions& options);

}  // namespace vsearch::detail

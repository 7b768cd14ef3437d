// Which part of a data set an audit looks at.
#pragma once

#include "vsearch/audit.h"
#include "vsearch/dataset.h"

namespace vsearch::eval {

// At most options.sample queries of the first protocol, each with a right answer, and at most
// options.gallery pictures they are looked for among: their right answers, as many as half of that
// has room for, and others at random. A data set of its own, whose one protocol has all of it.
// A query that stands in the gallery is never its own answer: that it finds itself says nothing.
// Throws kInvalidArgument, with what is missing.
Dataset sample_dataset(const Dataset& dataset, const AuditOptions& options);

// The label of each picture by this protocol, and the names of labels.
std::vector<std::int32_t> labels_of(const Dataset& dataset, const Protocol& protocol);
const std::vector<std::string>& label_names_of(const Dataset& dataset, const Protocol& protocol);

}  // namespace vsearch::eval

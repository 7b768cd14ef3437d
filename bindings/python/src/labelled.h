// Queries with known answers, as Python gives them.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "vsearch/edition.h"

namespace vsearch::python {

// From (key or None, path or None, relevant keys).
std::vector<LabelledQuery> to_queries(const pybind11::list& queries);

}  // namespace vsearch::python

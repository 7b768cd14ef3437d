// Exact search: every vector that matches is compared with every query. Index::Impl's
// search_exactly() is the way in.
#pragma once

#include <vector>

#include "index/graph.h"

namespace vsearch::index {

// The slots of `graph` that hold a vector that can be found, ascending. Throws std::bad_alloc.
std::vector<Slot> live_slots(const Graph& graph);

}  // namespace vsearch::index

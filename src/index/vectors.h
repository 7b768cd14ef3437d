// What an index takes for a vector.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vsearch/index.h"

namespace vsearch::index {

// Why `vector` cannot be stored or searched for under `metric`: NaN or Inf, zero length under
// cosine, too long for distances in float32. Empty if it can.
std::string vector_defect(std::span<const float> vector, Metric metric);

// The same of a vector that is to be stored in an index with `options`; also what its storage
// cannot express.
std::string vector_defect(std::span<const float> vector, const IndexOptions& options);

// Like vector_defect(), of what was read from a storage, which may have rounded it.
std::string stored_vector_defect(std::span<const float> vector, Metric metric);

// What is stored of `vector` and compared with what is stored: of unit length under cosine.
std::vector<float> prepared(std::span<const float> vector, Metric metric);

}  // namespace vsearch::index

// What an index takes for a vector.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vsearch/types.h"

namespace vsearch::index {

// Why `vector` cannot be stored or searched for under `metric`: NaN or Inf, zero length under
// cosine, too long for distances in float32. Empty if it can.
std::string vector_defect(std::span<const float> vector, Metric metric);

// The same of what prepared() gave.
std::string stored_vector_defect(std::span<const float> vector, Metric metric);

// What is stored of `vector` and compared with what is stored: of unit length under cosine.
std::vector<float> prepared(std::span<const float> vector, Metric metric);

}  // namespace vsearch::index

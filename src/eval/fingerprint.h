// What names a data set.
#pragma once

#include <string>

#include "vsearch/dataset.h"

namespace vsearch::eval {

// SHA-256 over the paths, sizes and crops of the pictures, the labels and the protocols: what the
// figures of a data set depend on.
std::string fingerprint_of(const Dataset& dataset);

}  // namespace vsearch::eval

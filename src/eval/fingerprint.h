// What names a data set.
#pragma once

#include <string>

#include "vsearch/dataset.h"

namespace vsearch::eval {

// SHA-256 over the paths, sizes and crops of the pictures: what their embeddings depend on.
std::string fingerprint_of_pictures(const Dataset& dataset);
// Over that, the labels and the protocols: what its figures depend on.
std::string fingerprint_of(const Dataset& dataset);

}  // namespace vsearch::eval

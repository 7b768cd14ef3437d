// Opening what the user named.
#pragma once

#include <memory>
#include <string>

#include "vsearch/catalog.h"
#include "vsearch/encoder.h"

namespace vsx {

// A file or the name of a model. Throws what find_encoder() and load_encoder() throw.
std::shared_ptr<vsearch::Encoder> load_model(const std::string& name_or_path);

// Opens the catalogue, shows its warnings, and progress if its index must be rebuilt.
// Throws what Catalog::open() throws.
vsearch::Catalog open_catalog(const std::string& path, bool quiet);

}  // namespace vsx

// Whether a model package gives what it promises, in every precision that it has.
#pragma once

#include <string>

#include "catalogs.h"

namespace vsx {

// Loads the model `name_or_path` in each of its precisions on options.device, or in
// options.precision alone if that is not "auto", with its golden pairs checked, measures it, and
// prints a table and PASS or FAIL. Returns the exit code; throws what load_model() throws where the
// file is no package at all.
int verify_model(const std::string& name_or_path, const ModelOptions& options);

}  // namespace vsx

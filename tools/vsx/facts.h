// What vsx tells of catalogues and models.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalogs.h"
#include "vsearch/types.h"

namespace vsx {

using Facts = std::vector<std::pair<std::string, std::string>>;

std::string_view metric_name(vsearch::Metric metric);

// The title and a line a fact; one that is empty becomes "-".
std::string as_text(const std::string& title, const Facts& facts);

// Loads the model `name_or_path` and prints what it is, as text or as JSON. Returns the exit code;
// throws what load_model() throws.
int show_model(const std::string& name_or_path, const ModelOptions& options, bool json);

}  // namespace vsx

// Opening what the user named.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vsearch/catalog.h"
#include "vsearch/encoder.h"
#include "vsearch/filter.h"

namespace vsx {

// How to load a model.
struct ModelOptions {
  std::string precision = "auto";
  std::string device = "cpu";
};

// Declares --precision and --device.
void add_model_options(CLI::App* app, ModelOptions& options);

// Throws UsageError (a device or a precision that does not exist).
vsearch::EncoderOptions encoder_options(const ModelOptions& options);

// A file or the name of a model. Throws what find_encoder() and load_encoder() throw, and
// UsageError.
std::shared_ptr<vsearch::Encoder> load_model(const std::string& name_or_path,
                                             const ModelOptions& options = {});

// Opens the catalogue, shows its warnings, and progress if its index must be rebuilt. Its encoder
// is loaded with `options` when first needed. Throws what Catalog::open() throws, and UsageError.
vsearch::Catalog open_catalog(const std::string& path, bool quiet,
                              const ModelOptions& options = {});

// The condition of --where, if one was given. Throws UsageError.
std::optional<vsearch::Filter> parse_where(const std::optional<std::string>& where);

// Names the keys that the catalogue does not have; returns the exit code.
int report_unknown(const std::string& catalog, const std::vector<std::string>& keys);

}  // namespace vsx

// A model package as a file: the script, the manifest, the fast forms.
#pragma once

#include <torch/script.h>

#include <filesystem>
#include <map>
#include <string>

#include "vsearch/encoder.h"

namespace vsearch::encoder {

inline constexpr char kExportRemedy[] =
    "make a package with python -m vsearch.export, see docs/models.md";

struct Archive {
  torch::jit::Module module;
  std::string manifest;                   // empty: a bare TorchScript file
  std::map<Precision, std::string> fast;  // the archives of the fast forms, as they lie in the file
};

// Throws kFileNotFound, kBadModel.
Archive open_archive(const std::filesystem::path& path);

// The fast form that lies in `archive`, over the weights of the plain form `plain`.
// Throws kBadModel, naming `path`, if it is damaged; kUnavailable if this CPU or this torch lacks
// what it needs.
torch::jit::Module open_fast_form(const std::string& archive, Precision precision,
                                  const torch::jit::Module& plain, const std::string& path);

}  // namespace vsearch::encoder

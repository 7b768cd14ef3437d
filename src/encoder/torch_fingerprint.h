// The fingerprint of a model: docs/models.md.
#pragma once

#include <torch/script.h>

#include <string>

namespace vsearch::encoder {

// 64 lower-case hex digits over `canonical_manifest` and the parameters and buffers of `module`,
// which must lie on the CPU as they came out of their file.
// Throws kBadModel, naming `path`, for a tensor of a type the format does not have.
std::string fingerprint(const std::string& canonical_manifest, const torch::jit::Module& module,
                        const std::string& path);

}  // namespace vsearch::encoder

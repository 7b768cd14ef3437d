// The manifest of a model package, vsearch.json (docs/models.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "encoder/golden.h"
#include "vsearch/encoder.h"

namespace vsearch::encoder {

inline constexpr char kManifestFile[] = "vsearch.json";

// A fast form in the package, beside the plain one.
struct FastForm {
  Precision precision = Precision::kFloat32;
  double min_cosine = 0;  // that a golden pair may have with it
};

struct Manifest {
  EncoderInfo info;       // without the fingerprint, which needs the weights
  std::string canonical;  // what the fingerprint covers of the manifest, byte for byte
  std::vector<GoldenPair> golden;
  std::vector<GoldenText> golden_text;  // not empty if and only if info.has_text
  std::vector<FastForm> fast;
};

// Reads the text of a manifest. `path` names the package in messages.
// Throws kBadModel: no JSON, a field that is missing or of another type or out of range, an unknown
// format version, a preprocessing that cannot be.
Manifest parse_manifest(std::string_view text, const std::string& path);

// What a fingerprint covers for a bare TorchScript file, which has no manifest.
std::string canonical_text(const Preprocessing& preprocessing);

}  // namespace vsearch::encoder

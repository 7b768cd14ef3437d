// Models that vsx knows by name: `vsx model pull` makes packages of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace vsx {

struct KnownModel {
  std::string_view name;        // also of the package: NAME.vsm.pt
  std::string_view repository;  // on Hugging Face; empty: comes with the library
  std::uint32_t dim;            // of an embedding
  std::uint32_t input_px;       // width and height
  double parameters_m;          // millions, of all towers
  std::string_view licence;     // of the weights, SPDX
  bool text;                    // whether it knows words
};

std::span<const KnownModel> known_models();
// Null if there is none.
const KnownModel* find_known_model(std::string_view name);

}  // namespace vsx

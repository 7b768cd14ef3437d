// Golden pairs: pictures that a formula gives and the embeddings that a package must give for them
// (docs/models.md).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vsearch/image.h"

namespace vsearch::encoder {

struct GoldenPair {
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  std::uint64_t seed = 0;
  std::vector<float> embedding;  // [dim]
};

// What encode_text() must give for a text.
struct GoldenText {
  std::string text;
  std::vector<float> embedding;  // [dim]
};

// How far an embedding may be from the golden one.
struct GoldenTolerance {
  double min_cosine = 0.9999;
  double max_length_difference = 0.01;  // as a share
};

Image golden_picture(std::uint32_t width_px, std::uint32_t height_px, std::uint64_t seed);

// Throws kBadModel, naming `path` and `what`, such as "golden pair 1 of 2", unless `computed` [dim]
// is `golden` [dim] within the tolerance.
void check_golden(const std::string& path, const std::string& what, std::span<const float> golden,
                  std::span<const float> computed, const GoldenTolerance& tolerance);

}  // namespace vsearch::encoder

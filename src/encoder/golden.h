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

Image golden_picture(std::uint32_t width_px, std::uint32_t height_px, std::uint64_t seed);

// Throws kBadModel, naming `path`, unless `computed` [dim] points the way of `pair` number `index`
// of `count` (cosine at least 0.9999) and is as long (within 1 %).
void check_golden(const std::string& path, const GoldenPair& pair, std::size_t index,
                  std::size_t count, std::span<const float> computed);

}  // namespace vsearch::encoder

// Pictures that are nearly the same, by what they look like and not by what an encoder sees.
#pragma once

#include <cstdint>

#include "eval/lab.h"
#include "vsearch/image.h"

namespace vsearch::eval {

// Two pictures are near-duplicates if their embeddings are nearer than this and they look alike:
// either alone holds of pictures that are merely similar.
inline constexpr float kNearCosine = 0.98F;
// Looks are taken of pictures with a longer side of this.
inline constexpr std::uint32_t kLookPx = 72;

struct Look {
  std::uint64_t hash = 0;  // which of 8 x 8 cells are darker than the one right of them ("dHash")
  Lab mean;                // the hash sees no colours; the same product in another is no duplicate
};

Look look_at(const Image& small);
bool are_alike(const Look& a, const Look& b);

}  // namespace vsearch::eval

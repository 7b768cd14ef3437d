// Which part of a picture is its subject: what a data set says of it, or what shows without
// anyone having said so.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "eval/picture_changes.h"
#include "vsearch/dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/image.h"

namespace vsearch::eval {

// That of a picture of a data set, in the part that is meant; a small picture of it, with a longer
// side of at most 96 px. `root`: that of the data set.
// Throws kInvalidArgument (the mask is not as large as the picture), and what read_image() throws.
Mask subject_by_mask(const DatasetPicture& picture, const std::filesystem::path& root);

// What stands out from the colours along the border, and rather in the middle. Needs no network.
// Has the size of a picture with a longer side of at most 96 px.
Mask subject_by_colour(const Image& image);

// From the local tokens of a picture [tokens x dim]: their first principal component splits
// pictures into subject and background (as arXiv 2104.14294 and 2112.05814 show); the border is
// background. Covers all of the picture, of `width_px` x `height_px`; what the encoder crops off
// counts as background. Nothing if the tokens form no grid.
std::optional<Mask> subject_by_tokens(std::span<const float> tokens, std::uint32_t dim,
                                      const Preprocessing& preprocessing, std::uint32_t width_px,
                                      std::uint32_t height_px);

// Its share of the picture.
double subject_share(const Mask& mask);

// Whether there is a subject and a background to tell apart.
bool is_usable(const Mask& mask);

}  // namespace vsearch::eval

// Subjects taken off their backgrounds and put on others.
#pragma once

#include <cstdint>

#include "eval/picture_changes.h"
#include "vsearch/image.h"

namespace vsearch::eval {

// The picture without its subject: the hole is filled smoothly from what lies around it (push-pull:
// Gortler et al., SIGGRAPH 1996).
Image fill_subject(const Image& image, const Mask& subject);

// One colour all over.
Image plain_picture(std::uint32_t width_px, std::uint32_t height_px, std::uint64_t seed);

// `image` in the very colours of `like`, of the same size: outside the subject each pixel gets the
// colour of that pixel of `like` which is as light among its own. The pattern stays.
Image match_colours(const Image& image, const Image& like, const Mask& subject);

// All colours of the subject moved so far in CIE L*a*b* that its mean is another colour, away from
// its own hue; lightness stays.
Image recolour_subject(const Image& image, const Mask& subject);

}  // namespace vsearch::eval

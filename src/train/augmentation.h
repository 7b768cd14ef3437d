// Pictures changed by chance, so that what does not matter is not learned.
#pragma once

#include <cstdint>

#include "eval/picture_changes.h"
#include "vsearch/image.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

// What augment() puts behind a subject. Both are borrowed, of any size, and not empty.
struct NewBackground {
  const eval::Mask& subject;  // of the picture that is augmented: covers all of it
  ImageView picture;          // kRgb; scaled to cover it, keeping its proportions
};

// Throws kInvalidArgument unless colour_jitter, greyscale, new_background and erase are 0 to 1.
void check_augmentation(const Augmentation& settings);

// Whether augment() with this seed is to be given a NewBackground: so often as the settings say.
bool wants_new_background(const Augmentation& settings, std::uint64_t seed);

// A part of `picture` (kRgb, at least 1 x 1), changed; at least 1 x 1, at most as large. In this
// order:
//   new background  behind the subject, where one is given; the rim blends as the mask does
//   random crop     of 20 to 100 % of the area, width to height 3:4 to 4:3, the better of ten tries
//                   or the middle (Szegedy et al., arXiv 1409.4842; RandomResizedCrop of
//                   torchvision, without its resize)
//   flip            every other picture
//   colour jitter   brightness, contrast and saturation in random order, each by a factor of
//                   1 - jitter to 1 + jitter (Howard, arXiv 1312.5402; ColorJitter of torchvision)
//   greyscale       luma (ITU-R BT.601) in all channels
//   erase           a rectangle of 2 to 25 % of the area, width to height 1:3 to 3:1, becomes grey
//                   (Zhong et al., arXiv 1708.04896)
// Without random_crop and new background all pixels stay where they are or are mirrored.
//
// The same for the same input on every machine: whole numbers, and the few operations of float that
// IEEE 754 rounds correctly. What one setting does depends on no other's chance.
// Threads: may be called by many at once.
Image augment(const ImageView& picture, const Augmentation& settings, std::uint64_t seed,
              const NewBackground* background = nullptr);

}  // namespace vsearch::training

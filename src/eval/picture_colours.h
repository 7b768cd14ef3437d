// The mean colours of the pictures of an audit.
#pragma once

#include <vector>

#include "eval/audit_run.h"
#include "eval/lab.h"
#include "eval/picture_changes.h"
#include "vsearch/types.h"

namespace vsearch::eval {

struct PictureColour {
  Lab whole;    // of all of it
  Lab subject;  // of what the mask says; as `whole` where it is not usable
};

// `subject` may be of another size.
PictureColour colour_of(const Image& picture, const Mask& subject);

// Of each picture of run.pool(), in its order: by its own mask where the data set has one, else by
// what stands out. Throws what subject_by_mask() throws.
std::vector<PictureColour> pool_colours(const AuditRun& run);

// Both colours as numbers to predict something from, with their squares and products [n x 18]; and
// the mean colour itself [n x 3].
Matrix colour_features(const std::vector<PictureColour>& colours);
Matrix whole_colours(const std::vector<PictureColour>& colours);

}  // namespace vsearch::eval

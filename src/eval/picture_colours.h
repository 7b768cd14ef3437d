// The mean colours of the pictures of an audit.
#pragma once

#include <vector>

#include "eval/audit_run.h"
#include "eval/lab.h"
#include "vsearch/types.h"

namespace vsearch::eval {

struct PictureColour {
  Lab whole;    // of all of it
  Lab subject;  // of what stands out; as `whole` where nothing does
};

// Of each picture of run.pool(), in its order.
std::vector<PictureColour> pool_colours(const AuditRun& run);

// Both colours as numbers to predict something from, with their squares and products [n x 18]; and
// the mean colour itself [n x 3].
Matrix colour_features(const std::vector<PictureColour>& colours);
Matrix whole_colours(const std::vector<PictureColour>& colours);

}  // namespace vsearch::eval

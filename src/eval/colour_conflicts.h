// Triplets in which class and colour disagree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "eval/audit_run.h"
#include "eval/picture_colours.h"

namespace vsearch::eval {

// One query with a picture of its class in another colour, and one of another class in its colour.
struct Conflict {
  std::size_t query = 0;
  std::uint32_t same_class = 0;  // rows of the gallery
  std::uint32_t same_colour = 0;
  double margin = 0;  // cosine to the same colour less that to the same class: above 0 colour wins
};

struct Conflicts {
  std::vector<float> colour_wins;  // [queries]: the share of its triplets; NaN: it has none
  std::size_t queries = 0;         // that have any
  std::vector<Conflict> won;       // by colour, the clearest of each query, clearest first
};

// By what a field of the data set says of colours.
Conflicts conflicts_by_field(const AuditRun& run, const DatasetField& field);
// By mean colours, of the subjects or of whole pictures: the farthest in the class against the
// nearest of other classes.
Conflicts conflicts_by_colour(const AuditRun& run, const std::vector<PictureColour>& colours,
                              bool of_subject);

}  // namespace vsearch::eval

// The findings of an audit, one a file. Each looks at one thing that visual search is known to get
// wrong and says what it saw, in numbers and pictures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eval/audit_run.h"
#include "eval/picture_changes.h"
#include "vsearch/audit.h"

namespace vsearch::eval {

// What a finding knows that bears on the others: an encoder with one fault shows it in many
// numbers.
struct Evidence {
  // How much embeddings change (1 - cosine, as seen from the centre) if only ...
  double subject_recoloured = 1;  // ... the subject gets another colour
  double background_content = 1;  // ... the background does, and its colours stay as they were
};

// How many changed forms of each query a finding encodes.
inline constexpr std::uint64_t kBackgroundForms = 4;
inline constexpr std::uint64_t kColourForms = 4;
inline constexpr std::uint64_t kRobustnessForms = 8;

// The subjects of the queries: by the data set's own masks where it has them, else by the local
// tokens of the encoder, which takes one more look at each picture, else by colours.
struct Subjects {
  std::vector<Mask> masks;  // [queries]; without pixels where none can be told from its background
  std::size_t found = 0;
  std::size_t own = 0;  // queries for which the data set has a mask
  bool by_tokens = false;

  // In the size of this picture; nothing if there is none.
  std::optional<Mask> of(std::size_t query, const Image& picture) const;
  std::string how() const;  // "found by ..."
};
// Throws what subject_by_mask() throws.
Subjects find_subjects(AuditRun& run);

AuditFinding find_background(AuditRun& run, const Subjects& subjects, Evidence& evidence);
AuditFinding find_colour(AuditRun& run, const Subjects& subjects, Evidence& evidence);
AuditFinding find_collapse(AuditRun& run);
AuditFinding find_robustness(AuditRun& run);
AuditFinding find_fairness(AuditRun& run);
AuditFinding find_duplicates(AuditRun& run);

// Takes back what another finding explains: of the faults that one cause shows, only that of the
// cause stays a fault.
void settle(std::vector<AuditFinding>& findings, const Evidence& evidence);

}  // namespace vsearch::eval

// What visual search is known to get wrong, looked for before customers find it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vsearch/dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/evaluator.h"
#include "vsearch/image.h"
#include "vsearch/metrics.h"

namespace vsearch {

enum class Verdict {
  kSound,        // nothing to do
  kNoteworthy,   // known weakness, within what good encoders show
  kFault,        // customers will notice
  kNotMeasured,  // see AuditFinding::summary for what was missing
};
std::string_view verdict_name(Verdict verdict);  // "sound", "noteworthy", "fault", "not measured"

enum class AuditUnit {
  kShare,   // of all, from 0 to 1: read in percent
  kNumber,  // anything else: directions, a skewness, a distance
};

struct AuditNumber {
  std::string name;  // "R@1, clean"
  Estimate estimate;
  std::string meaning;  // one sentence
  AuditUnit unit = AuditUnit::kShare;
};

// One example of what went wrong, as pictures.
struct AuditExample {
  std::string caption;
  struct Shown {
    Image image;  // at most 160 px a side
    std::string caption;
  };
  std::vector<Shown> pictures;
};

struct AuditFinding {
  std::string id;     // "background", "colour", "collapse", "robustness", "fairness", "duplicates"
  std::string title;  // "Background leakage"
  Verdict verdict = Verdict::kNotMeasured;
  std::string summary;  // what was found, with the number that decided
  std::string remedy;   // what this library has for it; empty if sound
  std::vector<AuditNumber> numbers;
  std::vector<AuditExample> examples;  // the worst first
};

struct AuditOptions {
  std::uint32_t sample = 400;    // queries that are encoded again in each changed form
  std::uint32_t gallery = 4000;  // pictures they are looked for among, at most
  std::uint32_t examples = 6;    // per finding
  std::uint32_t bootstrap = 1000;
  std::uint64_t seed = 1;
  std::vector<std::string> only{};  // ids of findings; empty: all
  std::filesystem::path cache{};    // see EvaluationOptions
  // The name of the field of the data set that says the colour; empty: one called "colour",
  // "color" or "baseColour", if there is one.
  std::string colour_field{};
  Progress progress{};  // counts encoded pictures
};

struct Audit {
  std::string dataset;
  std::string encoder_name;
  std::string encoder_fingerprint;
  std::vector<AuditFinding> findings;

  const AuditFinding* find(std::string_view id) const;  // null: not there
};

// Looks at an encoder through a data set with labels. The first protocol of the data set says who
// asks whom; its masks say what the subjects of pictures are, where it has any. Throws
// kInvalidArgument (an id there is not, with those there are; too few labels; a mask of another
// size than its picture), what read_image() throws of a mask, and what embed_dataset() throws.
Audit audit(const Encoder& encoder, const Dataset& dataset, const AuditOptions& options = {});

std::string to_json(const Audit& audit);

}  // namespace vsearch

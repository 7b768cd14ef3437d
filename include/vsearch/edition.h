// Editions: the embeddings of a catalogue by one encoder, and how one edition follows another.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "vsearch/encoder.h"
#include "vsearch/index.h"
#include "vsearch/types.h"

namespace vsearch {

enum class EditionState {
  kServing,   // answers queries; a catalogue has exactly one of these
  kBuilding,  // is being made beside it, or waits to be gone on with
  kKept,      // served before, and can again: see Catalog::rollback()
};
// "serving", "building", "kept".
std::string_view edition_state_name(EditionState state);

struct EditionInfo {
  std::int64_t id = 0;  // counts from 1, never given twice
  EditionState state = EditionState::kServing;
  std::string encoder;       // the name or absolute path it was made with
  std::string encoder_name;  // as the package names itself
  std::string encoder_fingerprint;
  std::uint32_t dim = 0;
  Metric metric = Metric::kCosine;
  std::uint64_t embeddings = 0;  // pictures that have one; of a serving edition all, but for those
                                 // that ReencodeOptions::max_missing_share has let pass
};

// One edition, as it answers queries. Whoever holds it can go on using it, also after another one
// has taken its place: it then answers as it did, without what is added since.
// Threads: every member may be called from many threads.
class Edition {
 public:
  virtual ~Edition() = default;

  virtual std::int64_t id() const = 0;
  virtual const Index& index() const = 0;  // ids are picture ids
  // Loads it if it must. Throws kUnavailable (no encoder and no loader), kEncoderMismatch, and what
  // the loader throws.
  virtual Encoder& encoder() const = 0;
};

// A query whose right answers are known, to compare editions with.
struct LabelledQuery {
  std::string key;                      // of an item, which is then left out of the answers, or
  std::string path;                     // of a picture file
  std::vector<std::string> relevant{};  // keys; at least one
};

// The edition that serves and the one that would, side by side.
struct EditionComparison {
  std::uint32_t k = 10;
  std::uint32_t sampled = 0;  // pictures that were searched for in both
  // The share of the k nearest of the old edition that the new one has among its k nearest, too; on
  // average; 1 without any.
  double overlap = 1;
  std::uint32_t labelled = 0;  // queries with known answers that could be asked
  // The share of these with a relevant item among the first k (Recall@K).
  double recall_before = 0;
  double recall_after = 0;
};

struct ReencodeOptions {
  // What the catalogue shall call the encoder from now on: a name, or an absolute path.
  std::string encoder_ref{};
  bool keep_old = true;  // so that rollback() can return to it
  // Pictures that cannot be encoded, because their file is gone, has changed since or was never
  // one, would not be found any more. More than this share of all is refused.
  double max_missing_share = 0;

  // The comparison.
  std::uint32_t k = 10;
  std::uint32_t sample = 200;            // pictures to search for
  std::vector<LabelledQuery> queries{};  // with known answers
  std::uint64_t seed = 1;

  // The gate: the new edition serves only if all hold.
  double min_overlap = 0;
  double max_recall_loss = std::numeric_limits<double>::infinity();  // recall_before - recall_after
  std::function<bool(const EditionComparison&)> gate{};              // asked last; may be empty
};

struct ReencodeReport {
  EditionInfo edition;        // the new one
  bool switched = false;      // whether it serves now
  std::string refusal;        // why not
  std::uint64_t encoded = 0;  // pictures
  // Pictures whose embedding was there: from an earlier, unfinished run, of the same content, or of
  // the encoder that served before, where the new one gives the same (EncoderInfo::image_of).
  std::uint64_t reused = 0;
  struct Missing {
    Id picture = 0;
    std::string key;
    std::string path;
    std::string message;
  };
  std::vector<Missing> missing;  // pictures that could not be encoded
  EditionComparison comparison;
};

}  // namespace vsearch

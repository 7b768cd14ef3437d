// How good an encoder, or a catalogue, is at finding.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vsearch/catalog.h"
#include "vsearch/dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/metrics.h"

namespace vsearch {

// What is done with the embeddings before they are ranked; all of it is exact and needs no labels.
struct RerankOptions {
  // Query expansion (arXiv 1711.02512): a query becomes the sum of its nearest `expand_queries`
  // pictures, each weighted by its similarity to the power `alpha`, and itself. 0: none.
  std::uint32_t expand_queries = 0;
  // The same done to every picture of the gallery beforehand. 0: none.
  std::uint32_t expand_gallery = 0;
  double alpha = 3.0;
};
// "none", "qe:10", "qe:10:3", "dba:10", "qe:10+dba:10". Throws kInvalidArgument, with the forms.
RerankOptions parse_rerank(std::string_view text);
std::string to_string(const RerankOptions& options);

struct EvaluationOptions {
  std::vector<std::string> protocols{};  // of the data set; empty: all
  RerankOptions rerank{};
  RetrievalOptions retrieval{};
  std::uint32_t bootstrap = 1000;  // resamples
  std::uint64_t seed = 1;
  // Where embeddings are kept, a file for each encoder, by the paths, sizes and times of the
  // pictures, so that a run that was interrupted goes on and what other data sets have of these
  // pictures is not encoded again. While another process adds to the file nothing is. Empty:
  // nowhere.
  std::filesystem::path cache{};
  bool exact_decoding = true;  // see EncodeOptions
  Progress progress{};         // counts pictures; asked on, with all done, while they are ranked
};

// Means over groups of queries: of one class, domain, or value of a field.
struct GroupScores {
  std::string group;
  std::uint64_t queries = 0;
  std::vector<double> means;  // [metrics]
};

struct ProtocolResult {
  std::string protocol;
  std::uint64_t queries = 0;
  std::uint64_t gallery = 0;
  std::uint64_t without_answer = 0;  // queries that no picture of the gallery answers: left out
  std::vector<std::string> metrics;
  std::vector<Estimate> estimates;                           // [metrics]
  std::vector<GroupScores> by_class;                         // by ascending mAP
  std::map<std::string, std::vector<GroupScores>> by_field;  // "domain", and each field
  // Where pictures have domains: every query among those of other domains than its own alone.
  std::optional<std::vector<Estimate>> across_domains;

  RetrievalScores scores;                       // of every query
  std::vector<std::uint32_t> pictures;          // [queries]: numbers in the data set
  std::vector<std::uint32_t> gallery_pictures;  // [gallery]
};

struct SkippedPicture {
  std::uint32_t picture = 0;
  std::string message;
};

struct Evaluation {
  std::string dataset;
  std::string root;
  std::string dataset_fingerprint;  // SHA-256 over paths, sizes and labels
  std::string encoder_name;
  std::string encoder_fingerprint;
  std::string precision;
  std::string rerank;
  std::uint64_t pictures = 0;
  std::uint64_t from_cache = 0;  // embeddings that were there already
  double encode_seconds = 0;
  std::vector<SkippedPicture> skipped;  // could not be read; left out of queries and gallery
  std::vector<ProtocolResult> protocols;
};

// The embeddings of a data set, a row a picture; NaN where it could not be read.
struct DatasetEmbeddings {
  Matrix rows;
  std::vector<SkippedPicture> skipped;
  std::uint64_t from_cache = 0;
  double seconds = 0;
};

// Encodes the pictures of `dataset`, their crops alone where they have any; those in the cache are
// not encoded again, and what was encoded before an interruption stays there.
// Throws kInvalidArgument (a protocol it does not have), kIo (the cache cannot be written), what
// Encoder::encode() throws, kCancelled, and kBadImage if no picture could be read.
DatasetEmbeddings embed_dataset(const Encoder& encoder, const Dataset& dataset,
                                const EvaluationOptions& options = {});

// Measures an encoder on a data set. Throws what embed_dataset() and score_retrieval() throw.
Evaluation evaluate(const Encoder& encoder, const Dataset& dataset,
                    const EvaluationOptions& options = {});
// The same with embeddings from elsewhere [pictures x dim].
Evaluation evaluate(const DatasetEmbeddings& embeddings, const EncoderInfo& encoder,
                    const Dataset& dataset, const EvaluationOptions& options = {});

// Measures a live catalogue, as its customers find it: through its index. Items are ranked, not
// pictures, and only the first `depth` answers count.
struct CatalogEvaluationOptions {
  std::vector<std::uint32_t> recall_at{1, 5, 10, 20};  // those up to the depth count
  std::uint32_t depth = 100;                           // answers asked for
  std::uint32_t breadth = 128;
  bool exact = false;
  std::uint32_t bootstrap = 1000;
  std::uint64_t seed = 1;
  Progress progress{};  // counts queries
};
struct CatalogEvaluation {
  std::string catalog;
  std::string encoder_name;
  std::string encoder_fingerprint;
  std::uint64_t items = 0;
  std::uint64_t queries = 0;
  std::vector<std::string> metrics;
  std::vector<Estimate> estimates;
  // The same queries answered by comparing with every picture: what the index loses.
  std::vector<Estimate> exact_estimates;
  struct Failed {
    std::string query;  // key or path
    std::string message;
  };
  std::vector<Failed> failed;  // could not be asked: no such item, no such picture; left out
  struct Missed {
    std::string query;
    std::uint32_t first_right = 0;   // rank; 0: not among the first `depth`
    std::vector<std::string> found;  // keys of the first five
    std::vector<std::string> wanted;
  };
  std::vector<Missed> worst;  // at most 50, the worst first
};
CatalogEvaluation evaluate(const Catalog& catalog, std::span<const LabelledQuery> queries,
                           const CatalogEvaluationOptions& options = {});

// JSON, for programs; without the scores of single queries unless asked for.
std::string to_json(const Evaluation& evaluation, bool every_query = false);
std::string to_json(const CatalogEvaluation& evaluation);

}  // namespace vsearch

// What a ranking is worth: retrieval metrics over embeddings, exact, and how sure they are.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vsearch/dataset.h"
#include "vsearch/types.h"

namespace vsearch {

// Queries over a gallery, and what is right. Embeddings are compared by cosine; rows need not be
// normalised. All is borrowed.
struct RetrievalTask {
  MatrixView queries;
  MatrixView gallery;
  // A picture of the gallery is right if it has the label of the query; -1 is the label of nothing.
  // Both may be empty if positives are given.
  std::span<const std::int32_t> query_labels;    // [queries]
  std::span<const std::int32_t> gallery_labels;  // [gallery]
  // Of each query its row in the gallery, or -1; empty: none stands there.
  std::span<const std::int64_t> self{};  // [queries]
  SelfMatch self_match = SelfMatch::kRemoved;
  // If given they decide what is right, not the labels: rows of the gallery, of each query.
  std::span<const std::vector<std::uint32_t>> positives{};
  std::span<const std::vector<std::uint32_t>> ignored{};  // taken out of the ranking
  AveragePrecision average_precision = AveragePrecision::kStandard;
  std::uint32_t cutoff = 0;  // see Protocol
};

struct RankedAnswer {
  std::uint32_t row = 0;  // of the gallery
  float similarity = 0.0F;
  bool right = false;
};

struct RetrievalOptions {
  std::vector<std::uint32_t> recall_at{1, 5, 10, 20};  // ascending, at least 1
  std::vector<std::uint32_t> precision_at{1, 5, 10};   // likewise
  std::uint32_t knn = 20;
  std::uint32_t keep_answers = 0;  // of each query the nearest so many are returned
  std::uint32_t threads = 0;       // 0: as many as the machine has
};

// One number per query and metric, in [0, 1], larger is better. R is the number of right answers to
// the query.
//   R@K     1 if one of the first K answers is right
//   P@K     the share of the first K answers that are right
//   mAP     the mean over the right answers of the precision at the rank of each
//   mAP@R   1/R times the sum over the first R ranks of the precision at the right ones
//           (arXiv 2003.08505)
//   R-Prec  the share of the first R answers that are right
//   nDCG    over the whole ranking, gains 0 and 1
//   MRR     one over the rank of the first right answer
//   mMP@5   precision at min(R, 5) (UnED, arXiv 2309.01858)
//   kNN@K   whether most of the first K answers are right, where wrong ones vote by label; of
//           labels that are as frequent the one whose nearest picture is nearer
struct RetrievalScores {
  std::vector<std::string> names;  // of the columns, in this order
  Matrix values;                   // [queries x names]; NaN in rows without a right answer
  std::vector<std::uint32_t> right_answers;         // [queries]: R
  std::vector<std::uint32_t> first_right;           // [queries]: its rank, from 1; 0: none
  std::vector<float> nearest_right, nearest_wrong;  // [queries] cosine; NaN where there is none
  std::vector<std::vector<RankedAnswer>> answers;   // [queries], of each keep_answers or fewer

  std::size_t column(std::string_view name) const;  // throws kInvalidArgument, with the names
  std::size_t counted() const;                      // queries with a right answer
};

// Ranks the whole gallery for every query, exactly, by tiles in bounded memory: beside the result
// about 64 MiB a thread, or 128 bytes a row of the gallery where that is more. Of equal
// similarities the row that comes first counts as nearer.
// Throws kInvalidArgument (shapes that do not match, a row that is zero or not finite, with its
// number; K = 0; no query with a right answer), kCancelled, kOutOfMemory.
RetrievalScores score_retrieval(const RetrievalTask& task, const RetrievalOptions& options = {},
                                const Progress& progress = {});

// A mean, and where it lies with 95 % confidence (percentile bootstrap over what is averaged).
struct Estimate {
  double mean = 0;
  double low = 0;
  double high = 0;
  std::uint64_t count = 0;  // of what is averaged

  friend bool operator==(const Estimate&, const Estimate&) = default;
};

// NaN among `values` is left out. The same seed gives the same answer on every machine.
// Of no values: all NaN. Throws kInvalidArgument (0 resamples).
Estimate estimate_mean(std::span<const float> values, std::uint32_t resamples = 1000,
                       std::uint64_t seed = 1);

// Two systems on the same queries.
struct PairedComparison {
  Estimate difference;  // mean of b - a
  double p_value = 1;   // two-sided, of a permutation test with sign flips: how often chance alone
                        // would give as large a difference
  std::uint64_t better = 0, worse = 0, equal = 0;  // queries on which b is
};

// Pairs with a NaN are left out. Throws kInvalidArgument (lengths that differ, 0 resamples).
PairedComparison compare_paired(std::span<const float> a, std::span<const float> b,
                                std::uint32_t resamples = 10000, std::uint64_t seed = 1);

}  // namespace vsearch

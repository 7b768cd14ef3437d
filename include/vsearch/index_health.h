// How well an index serves: whether it wears out, and in which way.
#pragma once

#include <cstdint>
#include <vector>

namespace vsearch {

// What Index::check_health() looks at. It follows every link once and reads every vector once; then
// it searches for a sample of the index's own vectors and compares each of these with all others,
// which takes most of the time: that grows with sample * size * dim. It needs 8 bytes a vector
// meanwhile.
struct HealthOptions {
  std::uint32_t sample = 200;  // vectors to search for; all if there are fewer; 0: none
  std::uint32_t k = 10;        // neighbours of each that are wanted, besides itself; at least 1
  std::uint32_t breadth = 64;  // of these searches: see SearchOptions
  std::uint64_t seed = 1;      // of the sample: equal ones draw the same from an unchanged index
};

// What Index::check_health() found. A new index has next to nothing that is unreachable or lost;
// what recall and distances are usual depends on the vectors: compare with an earlier check of the
// same index, or of a new one.
struct IndexHealth {
  std::uint64_t size = 0;    // vectors that were looked at
  double removed_share = 0;  // of the slots in use, those of removed vectors: 0 to 1

  // Links.
  std::vector<std::uint64_t> degrees;  // [2 links + 1]: i links on level 0 have degrees[i] vectors
  std::uint32_t least_degree = 0;
  std::uint32_t most_degree = 0;
  double mean_degree = 0;
  std::uint64_t unreachable = 0;  // vectors to which no path of links leads from the entry point

  // Vectors.
  std::uint64_t duplicates = 0;  // vectors that are stored like another one, without the first
  std::vector<float> mean;       // [dim]
  double spread = 0;             // the root of the mean squared distance from the mean

  // Searches for the sample.
  std::uint32_t sampled = 0;
  // Which share of a sampled vector's true k nearest others was found, on average; 1 without any.
  double self_recall = 1;
  std::uint32_t lost = 0;  // sampled vectors that do not come where they belong in their own result
  double distances_per_query = 0;  // the noise-free measure of wear: what a search had to compare
};

// How far the vectors have drifted between two checks of one index: the distance of their means, in
// units of the earlier spread; 0 if there was none. Two checks of vectors of the same kind differ
// by about 1 / sqrt(size); a drift of 1 is a different world.
double drift(const IndexHealth& earlier, const IndexHealth& later);

}  // namespace vsearch

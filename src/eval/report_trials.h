// Evaluations put side by side: which systems were measured by the same protocol on the same data.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vsearch/evaluator.h"

namespace vsearch::report {

// A system and what one protocol says of it. All is borrowed.
struct Measured {
  std::string system;  // as the report calls it
  const Evaluation* evaluation = nullptr;
  const ProtocolResult* result = nullptr;
};

// A data set and protocol, and the systems measured so: at least one, in the order given.
struct Trial {
  std::string name;  // "grocery: test"
  std::vector<Measured> systems;

  // The system with the highest mean of the main metric; the first of equals.
  const Measured& best() const;
};

// In the order in which they come up. Results of data sets with different fingerprints are never
// put side by side.
std::vector<Trial> trials_of(std::span<const Evaluation> evaluations);

// One name for each, none twice unless they are alike in all: the encoder's, with the re-ranking,
// and with precision and fingerprint where the name alone leaves a doubt.
std::vector<std::string> system_names(std::span<const Evaluation> evaluations);

// Null: not measured.
const Estimate* find_estimate(const ProtocolResult& result, std::string_view metric);
// "mAP", or the first where that was not measured; empty: none.
std::string main_metric(const ProtocolResult& result);
// Of GroupScores::means; NaN: not measured.
double group_mean(const ProtocolResult& result, const GroupScores& group, std::string_view metric);
// The K of "R@K"; 0 of every other name.
std::uint32_t recall_k(std::string_view metric);
// What a metric means, in one sentence; empty if it is none of ours.
std::string metric_meaning(std::string_view metric);

// The classes that were measured by the main metric, the worst first, and the mean over the tenth
// of them that is worst: at least one.
struct ClassScores {
  std::vector<const GroupScores*> ascending;
  std::size_t worst_tenth = 0;  // of `ascending`
  double worst_mean = 0;
};
ClassScores class_scores(const ProtocolResult& result);

}  // namespace vsearch::report

// What training has gained and what it has cost: the same pictures, found by two models.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catalogs.h"
#include "vsearch/audit.h"
#include "vsearch/dataset.h"
#include "vsearch/evaluator.h"
#include "vsearch/trainer.h"

namespace vsx {

// The start model and the tuned one on one data set.
struct BeforeAndAfter {
  vsearch::Evaluation before;
  vsearch::Evaluation after;
};

struct MeasureOptions {
  ModelOptions model;
  std::filesystem::path cache;
  bool keep_answers = false;  // for a report
  bool quiet = false;
};

// `parts` keeps those that could be measured: of which a picture could be read; the others are
// told. Throws what load_model() and else vsearch::evaluate() throw; kCancelled by Ctrl-C.
std::vector<BeforeAndAfter> measure_tuning(const std::string& start, const std::string& tuned,
                                           std::vector<vsearch::Dataset>& parts,
                                           const MeasureOptions& options);

// What both get wrong, of what training is known to change: background, colour, collapse.
struct Audits {
  vsearch::Audit before;
  vsearch::Audit after;
};
// Throws what load_model() and vsearch::audit() throw; kCancelled by Ctrl-C.
Audits audit_tuning(const std::string& start, const std::string& tuned,
                    const vsearch::Dataset& dataset, const MeasureOptions& options);
std::string audits_table(const Audits& audits);
nlohmann::ordered_json audits_json(const Audits& audits);

// Recall at 1, 5 and 20 and mAP, before and after.
std::string tuning_table(const std::vector<BeforeAndAfter>& measured);
nlohmann::ordered_json tuning_json(const std::vector<BeforeAndAfter>& measured);

}  // namespace vsx

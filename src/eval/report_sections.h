// The sections of the report, in the order in which they stand on the page.
#pragma once

#include <string>
#include <vector>

#include "eval/markup.h"
#include "eval/report_trials.h"
#include "vsearch/report.h"

namespace vsearch::report {

// Title, what was measured, the large numbers, the verdicts.
std::string report_title(const ReportInput& input, const ReportOptions& options);
Markup report_header(const ReportInput& input, const std::vector<Trial>& trials,
                     const std::string& title);

// All systems by all protocols; empty if there is only one of each.
Markup comparison_section(const std::vector<Trial>& trials);

// One data set by one protocol. `dataset` may be null: no pictures.
Markup trial_section(const Trial& trial, const std::string& id, const Dataset* dataset,
                     const ReportOptions& options);

// Of a trial's best system: queries that found what they looked for, and the worst misses.
Markup galleries(const Measured& measured, const Dataset* dataset, const ReportOptions& options);

Markup audit_section(const Audit& audit, const ReportOptions& options);
std::string finding_id(std::size_t number);  // where the finding with that number stands

Markup catalog_section(const CatalogEvaluation& catalog);

// `dataset` is what was learned from; null: no pictures.
Markup training_section(const TrainReport& training, const Dataset* dataset,
                        const ReportOptions& options);

// How to make it again, and what each number means.
Markup provenance_section(const ReportInput& input, const ReportOptions& options);

}  // namespace vsearch::report

// One page that says how good an encoder or a catalogue is at finding, and shows it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "vsearch/audit.h"
#include "vsearch/dataset.h"
#include "vsearch/evaluator.h"

namespace vsearch {

// Answers of each query that a report shows: RetrievalOptions::keep_answers must be as many.
inline constexpr std::uint32_t kReportAnswers = 5;

struct ReportOptions {
  std::string title{};              // empty: of what was measured
  std::string command{};            // that made it, so that it can be made again; empty: not told
  std::uint32_t pictures_px = 120;  // the longer side of the pictures in it
  std::uint32_t galleries = 12;     // queries shown of each kind: good ones, worst misses
};

struct TrainReport;  // trainer.h

// What is reported; all is borrowed, and what is null is left out. `dataset` is where the pictures
// of `evaluations` are read from: those that cannot be read are shown as their names.
struct ReportInput {
  std::span<const Evaluation> evaluations{};  // several are compared in one table
  const Dataset* dataset = nullptr;
  const Audit* audit = nullptr;
  const CatalogEvaluation* catalog = nullptr;
  const TrainReport* training = nullptr;  // what made the last of several systems
  const Dataset* learned = nullptr;       // where its pictures are read from
};

// An HTML page with everything in it: style, plots as SVG, pictures as data URIs; no script is
// needed to read it, nothing is fetched. It prints, and is readable on a phone, in light and dark.
// Throws kInvalidArgument (nothing to report), kOutOfMemory.
std::string html_report(const ReportInput& input, const ReportOptions& options = {});

// Writes that page to `file`, over what is there. Throws kIo, and what html_report() throws.
void write_report(const std::filesystem::path& file, const ReportInput& input,
                  const ReportOptions& options = {});

}  // namespace vsearch

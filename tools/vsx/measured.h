// What the commands that measure have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "vsearch/dataset.h"
#include "vsearch/report.h"

namespace vsx {

// Declares --dataset, --root and --incomplete.
void add_dataset_options(CLI::App* app, std::vector<std::string>& names,
                         std::vector<std::string>& roots, bool& incomplete);

// The names of all kinds of data sets, for a help text.
std::string dataset_names();

// One root for each name; a name may be missing where the layout of the root tells it. Throws
// UsageError and what load_dataset() throws.
std::vector<vsearch::Dataset> load_datasets(const std::vector<std::string>& names,
                                            const std::vector<std::string>& roots, bool incomplete);

// Where embeddings are kept, of --cache; empty: nowhere.
std::filesystem::path cache_folder(const std::string& option);

// That `file`, the value of `option`, can be written, before long work; an empty one: yes. Throws
// vsearch::Error (kIo).
void check_output(const std::string& file, std::string_view option);

// Writes what was found out to `file`, the value of `option`, whole or not at all; an empty one:
// nowhere. Throws vsearch::Error (kIo).
void save_text(const std::string& file, std::string_view option, const std::string& text);

// Writes the page, and says so. Throws vsearch::Error (kIo).
void save_report(const std::string& file, const vsearch::ReportInput& input, bool quiet);

}  // namespace vsx

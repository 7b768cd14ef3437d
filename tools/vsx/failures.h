// What several commands tell of work that was done in part.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "console.h"
#include "vsearch/catalog.h"

namespace vsx {

// Says `title` and the first of `lines` below it, and how many more there are.
void tell_list(std::string_view title, const std::vector<std::string>& lines);

// Says how many pictures could not be `done` ("added"), and why the first of them could not.
template <typename Failure>
void tell_failures(std::string_view done, const std::vector<Failure>& failures) {
  if (failures.empty()) return;
  std::vector<std::string> lines;
  lines.reserve(failures.size());
  for (const Failure& failure : failures) lines.push_back(failure.message);
  tell_list(fmt::format("{} could not be {}:", counted(failures.size(), "picture"), done), lines);
}

// Says which pictures went while a network learned from them.
void tell_lost(const std::vector<std::string>& lost);

// Says which pictures an edition lacks, and why.
void tell_missing(const vsearch::ReencodeReport& report);

// Says how many items were `done` ("added") in `seconds`.
void tell_added(std::string_view done, const vsearch::AddReport& report, double seconds);

}  // namespace vsx

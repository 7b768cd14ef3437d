#include "failures.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace vsx {
namespace {

constexpr std::size_t kShown = 10;

}  // namespace

void tell_list(std::string_view title, const std::vector<std::string>& lines) {
  std::string text(title);
  for (std::size_t i = 0; i < std::min(lines.size(), kShown); ++i) text += "\n  " + lines[i];
  if (lines.size() > kShown) {
    text += fmt::format("\n  ... and {} more", with_commas(lines.size() - kShown));
  }
  say(text);
}

void tell_lost(const std::vector<std::string>& lost) {
  if (lost.empty()) return;
  tell_list("gone while they were learned from; others took their place:", lost);
}

void tell_missing(const vsearch::ReencodeReport& report) {
  if (report.missing.empty()) return;
  std::vector<std::string> lines;
  lines.reserve(report.missing.size());
  for (const vsearch::ReencodeReport::Missing& picture : report.missing) {
    lines.push_back(fmt::format("{}: {}", picture.key, picture.message));
  }
  tell_list(fmt::format("{} could not be encoded:", counted(lines.size(), "picture")), lines);
}

void tell_added(std::string_view done, const vsearch::AddReport& report, double seconds) {
  const std::uint64_t items = report.added + report.replaced;
  std::string text = fmt::format("{} {}", done, counted(items, "item"));
  if (report.replaced > 0) text += fmt::format(" ({} replaced)", with_commas(report.replaced));
  text += " in " + seconds_text(seconds);
  if (items > 0) text += ", " + rate_text(static_cast<double>(items) / seconds, "items");
  say(text);
}

}  // namespace vsx

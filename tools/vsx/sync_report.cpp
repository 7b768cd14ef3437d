#include "sync_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "console.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;
using vsearch::SyncAction;

constexpr std::size_t kShownChanges = 24;

struct Word {
  SyncAction action;
  std::string_view done;
  std::string_view planned;
};
constexpr Word kWords[] = {{SyncAction::kAdd, "added", "to add"},
                           {SyncAction::kReplace, "replaced", "to replace"},
                           {SyncAction::kRename, "renamed", "to rename"},
                           {SyncAction::kPatch, "patched", "to patch"},
                           {SyncAction::kRemove, "removed", "to remove"},
                           {SyncAction::kDuplicate, "left out", "to leave out"}};

std::string note_of(const vsearch::SyncChange& change) {
  if (change.action == SyncAction::kRename) return fmt::format("  (was {})", change.other);
  if (change.action == SyncAction::kDuplicate) return fmt::format("  (like {})", change.other);
  return {};
}

}  // namespace

std::string summary_of(const vsearch::SyncReport& report, const SyncTelling& how) {
  std::vector<std::string> counts;
  for (const Word& word : kWords) {
    const std::uint64_t count = report.count(word.action);
    if (count == 0) continue;
    counts.push_back(
        fmt::format("{} {}", with_commas(count), how.dry_run ? word.planned : word.done));
  }
  counts.push_back(fmt::format("{} unchanged", with_commas(report.unchanged)));
  std::string text = fmt::format("{} {}", how.dry_run ? "compared" : "synchronised",
                                 counted(report.listed, "item"));
  if (how.seconds) text += " in " + seconds_text(*how.seconds);
  text += fmt::format(": {}", fmt::join(counts, ", "));
  if (report.encoded > 0) text += fmt::format("; {} encoded", counted(report.encoded, "picture"));
  return text;
}

std::string changes_text(const vsearch::SyncReport& report, const SyncTelling& how) {
  const std::size_t all = report.changes.size();
  const std::size_t shown = how.all_changes ? all : std::min(all, kShownChanges);
  std::string text;
  for (const vsearch::SyncChange& change : std::span(report.changes).first(shown)) {
    text += fmt::format("{:<10}{}{}\n", sync_action_name(change.action), printable(change.key),
                        printable(note_of(change)));
  }
  if (shown < all) {
    text += fmt::format("... and {} more; --verbose shows them\n", with_commas(all - shown));
  }
  return text;
}

std::string as_json(const vsearch::SyncReport& report, const SyncTelling& how, int indent) {
  Json changes = Json::array();
  for (const vsearch::SyncChange& change : report.changes) {
    Json entry{{"action", sync_action_name(change.action)}, {"key", change.key}};
    if (!change.other.empty()) entry["other"] = change.other;
    changes.push_back(std::move(entry));
  }
  Json failures = Json::array();
  for (const vsearch::SyncFailure& failure : report.failures) {
    failures.push_back(
        {{"key", failure.key}, {"path", failure.path}, {"message", failure.message}});
  }
  return Json{{"dry_run", how.dry_run},
              {"listed", report.listed},
              {"added", report.count(SyncAction::kAdd)},
              {"replaced", report.count(SyncAction::kReplace)},
              {"renamed", report.count(SyncAction::kRename)},
              {"patched", report.count(SyncAction::kPatch)},
              {"removed", report.count(SyncAction::kRemove)},
              {"duplicates", report.count(SyncAction::kDuplicate)},
              {"unchanged", report.unchanged},
              {"encoded", report.encoded},
              {"seconds", how.seconds ? Json(*how.seconds) : Json()},
              {"changes", std::move(changes)},
              {"failures", std::move(failures)},
              {"problems", report.problems}}
             .dump(indent, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace vsx

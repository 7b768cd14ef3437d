// The C interface to what keeps a catalogue in step with the shop.
#include "vsearch/sync.h"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "vsearch/catalog.h"
#include "vsearch/error.h"
#include "vsearch/source.h"

namespace capi = vsearch::capi;

struct vsearch_sync_report {
  explicit vsearch_sync_report(vsearch::SyncReport done)
      : report(std::move(done)), failures(capi::to_failures(report.failures)) {
    changes.reserve(report.changes.size());
    for (const vsearch::SyncChange& change : report.changes) {
      changes.push_back({static_cast<vsearch_sync_action>(change.action), change.key.c_str(),
                         change.other.c_str()});
    }
  }
  vsearch_sync_report(const vsearch_sync_report&) = delete;
  vsearch_sync_report& operator=(const vsearch_sync_report&) = delete;

  const vsearch::SyncReport report;
  std::vector<vsearch_sync_change> changes;         // pointing into report
  const std::vector<vsearch_add_failure> failures;  // pointing into report
};

namespace {

using vsearch::Error;
using vsearch::ErrorCode;

static_assert(static_cast<int>(vsearch::KeyRule::kPath) == VSEARCH_KEY_PATH);
static_assert(static_cast<int>(vsearch::KeyRule::kStem) == VSEARCH_KEY_STEM);
static_assert(static_cast<int>(vsearch::KeyRule::kName) == VSEARCH_KEY_NAME);
static_assert(static_cast<int>(vsearch::KeyRule::kFolder) == VSEARCH_KEY_FOLDER);
static_assert(static_cast<int>(vsearch::Duplicates::kKeep) == VSEARCH_DUPLICATES_KEEP);
static_assert(static_cast<int>(vsearch::Duplicates::kSkip) == VSEARCH_DUPLICATES_SKIP);
static_assert(static_cast<int>(vsearch::Duplicates::kLink) == VSEARCH_DUPLICATES_LINK);
static_assert(static_cast<int>(vsearch::SyncAction::kAdd) == VSEARCH_SYNC_ADD);
static_assert(static_cast<int>(vsearch::SyncAction::kReplace) == VSEARCH_SYNC_REPLACE);
static_assert(static_cast<int>(vsearch::SyncAction::kRename) == VSEARCH_SYNC_RENAME);
static_assert(static_cast<int>(vsearch::SyncAction::kPatch) == VSEARCH_SYNC_PATCH);
static_assert(static_cast<int>(vsearch::SyncAction::kRemove) == VSEARCH_SYNC_REMOVE);
static_assert(static_cast<int>(vsearch::SyncAction::kDuplicate) == VSEARCH_SYNC_DUPLICATE);

vsearch::FilesSource to_files(const vsearch_source& given) {
  vsearch::FilesSource source;
  source.paths =
      capi::to_texts<std::filesystem::path>(given.paths, given.path_count, "source.paths");
  source.keys = capi::to_enum<vsearch::KeyRule>(given.key_rule, VSEARCH_KEY_FOLDER,
                                                "source.key_rule", "VSEARCH_KEY_...");
  source.metadata = capi::text_or_empty(given.metadata);
  if (given.key_column != nullptr) source.key_column = given.key_column;
  return source;
}

vsearch::Source to_source(const vsearch_source* source) {
  const auto given = capi::read_struct<vsearch_source>(
      source, offsetof(vsearch_source, kind) + sizeof(source->kind), "source");
  const std::string key_column = given.key_column != nullptr ? given.key_column : "key";
  capi::require_number(given.kind, VSEARCH_SOURCE_SQL, "source.kind", "VSEARCH_SOURCE_...");
  if (given.kind == VSEARCH_SOURCE_FILES) return to_files(given);
  capi::require(given.file, "source.file");
  if (given.kind == VSEARCH_SOURCE_MANIFEST) {
    return vsearch::ManifestSource{given.file, key_column};
  }
  capi::require(given.query, "source.query");
  return vsearch::SqlSource{given.file, given.query, key_column};
}

vsearch::SyncOptions to_options(const vsearch_sync_options& given) {
  vsearch::SyncOptions options;
  options.dry_run = given.dry_run != 0;
  options.remove_missing = given.keep_missing == 0;
  options.max_removed_share = capi::or_default(given.max_removed_share, options.max_removed_share);
  options.key_prefix = capi::text_or_empty(given.key_prefix);
  options.duplicates = capi::to_enum<vsearch::Duplicates>(
      given.duplicates, VSEARCH_DUPLICATES_LINK, "options.duplicates", "VSEARCH_DUPLICATES_...");
  options.duplicate_distance =
      capi::or_default(given.duplicate_distance, options.duplicate_distance);
  return options;
}

}  // namespace

vsearch_status vsearch_catalog_sync(vsearch_catalog* catalog, const vsearch_source* source,
                                    const vsearch_sync_options* options,
                                    vsearch_sync_report** report, vsearch_error* error) {
  if (report != nullptr) *report = nullptr;
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    const auto given = capi::read_options(options, "options");
    auto result = std::make_unique<vsearch_sync_report>(
        catalog->catalog.sync(to_source(source), to_options(given),
                              capi::to_progress(given.progress, given.progress_user)));
    if (report != nullptr) *report = result.release();
  });
}

uint64_t vsearch_sync_report_listed(const vsearch_sync_report* report) {
  return report != nullptr ? report->report.listed : 0;
}

uint64_t vsearch_sync_report_unchanged(const vsearch_sync_report* report) {
  return report != nullptr ? report->report.unchanged : 0;
}

uint64_t vsearch_sync_report_encoded(const vsearch_sync_report* report) {
  return report != nullptr ? report->report.encoded : 0;
}

size_t vsearch_sync_report_change_count(const vsearch_sync_report* report) {
  return report != nullptr ? report->changes.size() : 0;
}

const vsearch_sync_change* vsearch_sync_report_change(const vsearch_sync_report* report, size_t i) {
  return i < vsearch_sync_report_change_count(report) ? &report->changes[i] : nullptr;
}

size_t vsearch_sync_report_failure_count(const vsearch_sync_report* report) {
  return report != nullptr ? report->failures.size() : 0;
}

const vsearch_add_failure* vsearch_sync_report_failure(const vsearch_sync_report* report,
                                                       size_t i) {
  return i < vsearch_sync_report_failure_count(report) ? &report->failures[i] : nullptr;
}

size_t vsearch_sync_report_problem_count(const vsearch_sync_report* report) {
  return report != nullptr ? report->report.problems.size() : 0;
}

const char* vsearch_sync_report_problem(const vsearch_sync_report* report, size_t i) {
  return i < vsearch_sync_report_problem_count(report) ? report->report.problems[i].c_str()
                                                       : nullptr;
}

void vsearch_sync_report_free(vsearch_sync_report* report) {
  delete report;
}

vsearch_status vsearch_catalog_watch(vsearch_catalog* catalog, const vsearch_source* source,
                                     const vsearch_sync_options* options,
                                     const vsearch_watch_options* how, vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    const vsearch::Source wanted = to_source(source);
    const auto* files = std::get_if<vsearch::FilesSource>(&wanted);
    if (files == nullptr) {
      throw Error(ErrorCode::kInvalidArgument,
                  "only folders can be watched: set source.kind to VSEARCH_SOURCE_FILES");
    }
    const auto given = capi::read_options(options, "options");
    const auto told = capi::read_options(how, "how");
    vsearch::WatchOptions watch;
    if (told.quiet_ms != 0) watch.quiet = std::chrono::milliseconds(told.quiet_ms);
    const auto report = [&](const vsearch::SyncReport& done) {
      if (told.report == nullptr) return true;
      const vsearch_sync_report view(done);
      return told.report(told.user, &view) == 0;
    };
    const auto trouble = [&](const Error& e) {
      if (told.trouble == nullptr) return;
      vsearch_error description{};
      description.status = static_cast<vsearch_status>(e.code());
      capi::copy_text(description.message, sizeof description.message, e.what());
      told.trouble(told.user, &description);
    };
    catalog->catalog.watch(*files, to_options(given), watch, report, trouble,
                           capi::to_progress(given.progress, given.progress_user));
  });
}

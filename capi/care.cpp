// The C interface to what looks after a catalogue.
#include "vsearch/care.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "vsearch/catalog.h"

namespace capi = vsearch::capi;

namespace {

vsearch::CheckOptions to_options(const vsearch_check_options& given) {
  vsearch::CheckOptions options;
  options.health.sample = capi::or_default(given.sample, options.health.sample);
  options.health.k = capi::or_default(given.k, options.health.k);
  options.health.breadth = capi::or_default(given.breadth, options.health.breadth);
  options.health.seed = capi::or_default(given.seed, options.health.seed);
  options.min_self_recall = capi::or_default(given.min_self_recall, options.min_self_recall);
  return options;
}

// Pointing into `report`.
vsearch_check_numbers to_numbers(const vsearch::CheckReport& report) {
  const vsearch::IndexHealth& health = report.health;
  vsearch_check_numbers numbers{};
  numbers.items = report.items;
  numbers.pictures = report.pictures;
  numbers.without_embedding = report.without_embedding;
  numbers.orphans = report.orphans;
  numbers.index_missing = report.index_missing;
  numbers.index_extra = report.index_extra;
  numbers.index_differs = report.index_differs;
  numbers.index_size = health.size;
  numbers.removed_share = health.removed_share;
  numbers.degrees = health.degrees.data();
  numbers.degree_count = health.degrees.size();
  numbers.least_degree = health.least_degree;
  numbers.most_degree = health.most_degree;
  numbers.mean_degree = health.mean_degree;
  numbers.unreachable = health.unreachable;
  numbers.duplicates = health.duplicates;
  numbers.mean = health.mean.data();
  numbers.mean_dim = health.mean.size();
  numbers.spread = health.spread;
  numbers.sampled = health.sampled;
  numbers.lost = health.lost;
  numbers.self_recall = health.self_recall;
  numbers.distances_per_query = health.distances_per_query;
  return numbers;
}

}  // namespace

struct vsearch_duplicate_groups {
  explicit vsearch_duplicate_groups(std::vector<vsearch::DuplicateGroup> groups)
      : found(std::move(groups)) {
    keys.reserve(found.size());
    views.reserve(found.size());
    for (const vsearch::DuplicateGroup& group : found) {
      std::vector<const char*>& texts = keys.emplace_back();
      texts.reserve(group.keys.size());
      for (const std::string& key : group.keys) texts.push_back(key.c_str());
      views.push_back({texts.data(), texts.size(), group.first.c_str(), group.max_distance,
                       group.same_content ? 1 : 0});
    }
  }
  vsearch_duplicate_groups(const vsearch_duplicate_groups&) = delete;
  vsearch_duplicate_groups& operator=(const vsearch_duplicate_groups&) = delete;

  const std::vector<vsearch::DuplicateGroup> found;
  std::vector<std::vector<const char*>> keys;  // pointing into found
  std::vector<vsearch_duplicate_group> views;  // pointing into found and keys
};

struct vsearch_check_report {
  explicit vsearch_check_report(vsearch::CheckReport done)
      : report(std::move(done)), numbers(to_numbers(report)) {}
  vsearch_check_report(const vsearch_check_report&) = delete;
  vsearch_check_report& operator=(const vsearch_check_report&) = delete;

  const vsearch::CheckReport report;
  const vsearch_check_numbers numbers;  // pointing into report
};

vsearch_status vsearch_catalog_near_duplicates(const vsearch_catalog* catalog,
                                               const vsearch_duplicate_options* options,
                                               vsearch_duplicate_groups** out,
                                               vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    capi::require(catalog, "catalog");
    const auto given = capi::read_options(options, "options");
    vsearch::DuplicateOptions wanted;
    wanted.max_distance = capi::or_default(given.max_distance, wanted.max_distance);
    wanted.neighbours = capi::or_default(given.neighbours, wanted.neighbours);
    return std::make_unique<vsearch_duplicate_groups>(catalog->catalog.near_duplicates(
        wanted, capi::to_progress(given.progress, given.progress_user)));
  });
}

size_t vsearch_duplicate_groups_count(const vsearch_duplicate_groups* groups) {
  return groups != nullptr ? groups->views.size() : 0;
}

const vsearch_duplicate_group* vsearch_duplicate_groups_at(const vsearch_duplicate_groups* groups,
                                                           size_t i) {
  return i < vsearch_duplicate_groups_count(groups) ? &groups->views[i] : nullptr;
}

void vsearch_duplicate_groups_free(vsearch_duplicate_groups* groups) {
  delete groups;
}

vsearch_status vsearch_catalog_check(const vsearch_catalog* catalog,
                                     const vsearch_check_options* options,
                                     vsearch_check_report** out, vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    capi::require(catalog, "catalog");
    const auto given = capi::read_options(options, "options");
    return std::make_unique<vsearch_check_report>(catalog->catalog.check(
        to_options(given), capi::to_progress(given.progress, given.progress_user)));
  });
}

size_t vsearch_check_report_fault_count(const vsearch_check_report* report) {
  return report != nullptr ? report->report.faults.size() : 0;
}

const char* vsearch_check_report_fault(const vsearch_check_report* report, size_t i) {
  return i < vsearch_check_report_fault_count(report) ? report->report.faults[i].c_str() : nullptr;
}

const vsearch_check_numbers* vsearch_check_report_numbers(const vsearch_check_report* report) {
  return report != nullptr ? &report->numbers : nullptr;
}

void vsearch_check_report_free(vsearch_check_report* report) {
  delete report;
}

vsearch_status vsearch_catalog_compact(vsearch_catalog* catalog,
                                       const vsearch_work_options* options,
                                       vsearch_compact_report* report, vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    const capi::OutStruct out(report, "report");
    const vsearch::CompactReport done = catalog->catalog.compact(capi::to_progress(options));
    out.write({0, done.bytes_before, done.bytes_after, done.index_rebuilt ? 1 : 0});
  });
}

vsearch_status vsearch_catalog_backup(const vsearch_catalog* catalog, const char* path,
                                      const vsearch_work_options* options, vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    capi::require(path, "path");
    catalog->catalog.backup(path, capi::to_progress(options));
  });
}

vsearch_status vsearch_catalog_export(const vsearch_catalog* catalog, const char* path,
                                      const vsearch_work_options* options,
                                      vsearch_export_report* report, vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    capi::require(path, "path");
    const capi::OutStruct out(report, "report");
    const vsearch::ExportReport done = catalog->catalog.export_to(path, capi::to_progress(options));
    out.write({0, done.items, done.pictures});
  });
}

vsearch_status vsearch_catalog_import(vsearch_catalog* catalog, const char* path,
                                      const vsearch_work_options* options,
                                      vsearch_add_report** report, vsearch_error* error) {
  if (report != nullptr) *report = nullptr;
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    capi::require(path, "path");
    auto result = std::make_unique<vsearch_add_report>(
        catalog->catalog.import_from(path, capi::to_progress(options)));
    if (report != nullptr) *report = result.release();
  });
}

vsearch_status vsearch_catalog_save_snapshot(vsearch_catalog* catalog, vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    catalog->catalog.save_snapshot();
  });
}

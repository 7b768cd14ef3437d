// Catalog::sync and watch for Python.
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "open_catalog.h"
#include "vsearch/source.h"
#include "vsearch/sync.h"

namespace vsearch::python {
namespace {

FilesSource to_files(const py::tuple& source) {
  FilesSource files;
  for (const py::handle path : py::cast<py::list>(source[1])) {
    files.paths.emplace_back(to_path(path));
  }
  const std::string rule = to_utf8(source[2], "keys");
  const std::optional<KeyRule> keys = find_key_rule(rule);
  if (!keys) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("keys must be 'path', 'stem', 'name' or 'folder', not '{}'", rule));
  }
  files.keys = *keys;
  if (!source[3].is_none()) files.metadata = to_path(source[3]);
  if (!source[4].is_none()) files.key_column = to_utf8(source[4], "key_column");
  return files;
}

// ("files", paths, keys, metadata, key_column), ("manifest", file, key_column) or ("sql", database,
// query, key_column).
Source to_source(const py::tuple& source) {
  const auto kind = py::cast<std::string>(source[0]);
  if (kind == "files") return to_files(source);
  if (kind == "manifest") {
    return ManifestSource{to_path(source[1]), to_utf8(source[2], "key_column")};
  }
  return SqlSource{to_path(source[1]), to_utf8(source[2], "query"),
                   to_utf8(source[3], "key_column")};
}

Duplicates to_duplicates(py::handle value) {
  const std::string name = to_utf8(value, "duplicates");
  if (name == "keep") return Duplicates::kKeep;
  if (name == "skip") return Duplicates::kSkip;
  if (name == "link") return Duplicates::kLink;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("duplicates must be 'keep', 'skip' or 'link', not '{}'", name));
}

// (dry_run, remove_missing, max_removed_share, key_prefix, duplicates, duplicate_distance)
SyncOptions to_options(const py::tuple& given) {
  SyncOptions options;
  options.dry_run = py::cast<bool>(given[0]);
  options.remove_missing = py::cast<bool>(given[1]);
  options.max_removed_share = py::cast<double>(given[2]);
  options.key_prefix = to_utf8(given[3], "key_prefix");
  options.duplicates = to_duplicates(given[4]);
  options.duplicate_distance = py::cast<float>(given[5]);
  return options;
}

py::dict from_report(const SyncReport& report) {
  using py::literals::operator""_a;
  py::list changes;
  for (const SyncChange& change : report.changes) {
    changes.append(py::make_tuple(py::str(sync_action_name(change.action)),
                                  from_message(change.key), from_message(change.other)));
  }
  py::list failures;
  for (const SyncFailure& failure : report.failures) failures.append(from_failure(failure));
  return py::dict("listed"_a = report.listed, "unchanged"_a = report.unchanged,
                  "encoded"_a = report.encoded, "changes"_a = changes, "failures"_a = failures,
                  "problems"_a = from_texts(report.problems));
}

py::dict sync(const OpenCatalog& self, const py::tuple& source, const py::tuple& options,
              py::object progress) {
  const Source from = to_source(source);
  const SyncOptions how = to_options(options);
  LongCall call(std::move(progress));
  return from_report(run(call, self, [&](Catalog& catalog, const Progress& go_on) {
    return catalog.sync(from, how, go_on);
  }));
}

void watch(const OpenCatalog& self, const py::tuple& source, const py::tuple& options,
           std::uint32_t quiet_ms, const py::object& on_report, const py::object& on_trouble,
           py::object progress) {
  const FilesSource from = to_files(source);
  const SyncOptions how = to_options(options);
  const WatchOptions watching{std::chrono::milliseconds(quiet_ms)};
  LongCall call(std::move(progress));
  const auto report = [&](const SyncReport& result) {
    return call.ask([&] { return on_report(from_report(result)); });
  };
  const auto trouble = [&](const Error& error) {
    call.ask(
        [&] { return on_trouble(static_cast<int>(error.code()), from_message(error.what())); });
  };
  run(call, self, [&](Catalog& catalog, const Progress& go_on) {
    catalog.watch(from, how, watching, report, trouble, go_on);
  });
}

}  // namespace

void define_sync(py::class_<OpenCatalog>& catalog) {
  catalog.def("sync", &sync, py::arg("source"), py::arg("options"), py::arg("progress"))
      .def("watch", &watch, py::arg("source"), py::arg("options"), py::arg("quiet_ms"),
           py::arg("on_report"), py::arg("on_trouble"), py::arg("progress"));
}

}  // namespace vsearch::python

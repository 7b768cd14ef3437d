// Looking after a catalogue, for Python.
#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "module.h"
#include "open_catalog.h"
#include "vsearch/care.h"
#include "vsearch/field.h"

namespace vsearch::python {
namespace {

using py::literals::operator""_a;

py::dict check_health(const OpenCatalog& self, std::uint32_t sample, std::uint32_t k,
                      std::uint32_t breadth, std::uint64_t seed, py::object progress) {
  const HealthOptions options{sample, k, breadth, seed};
  LongCall call(std::move(progress));
  return to_dict(run(call, self, [&](Catalog& catalog, const Progress& go_on) {
    return catalog.serving()->index().check_health(options, go_on);
  }));
}

py::dict check(const OpenCatalog& self, std::uint32_t sample, std::uint32_t k,
               std::uint32_t breadth, std::uint64_t seed, double min_self_recall,
               py::object progress) {
  const CheckOptions options{{sample, k, breadth, seed}, min_self_recall};
  LongCall call(std::move(progress));
  CheckReport report = run(call, self, [&](Catalog& catalog, const Progress& go_on) {
    return catalog.check(options, go_on);
  });
  return py::dict("faults"_a = from_texts(report.faults), "items"_a = report.items,
                  "pictures"_a = report.pictures, "without_embedding"_a = report.without_embedding,
                  "orphans"_a = report.orphans, "index_missing"_a = report.index_missing,
                  "index_extra"_a = report.index_extra, "index_differs"_a = report.index_differs,
                  "health"_a = to_dict(std::move(report.health)));
}

py::tuple compact(const OpenCatalog& self, py::object progress) {
  LongCall call(std::move(progress));
  const CompactReport report = run(
      call, self, [](Catalog& catalog, const Progress& go_on) { return catalog.compact(go_on); });
  return py::make_tuple(report.bytes_before, report.bytes_after, report.index_rebuilt);
}

void backup(const OpenCatalog& self, py::handle path, py::object progress) {
  const std::string folder = to_path(path);
  LongCall call(std::move(progress));
  run(call, self, [&](Catalog& catalog, const Progress& go_on) { catalog.backup(folder, go_on); });
}

py::tuple export_to(const OpenCatalog& self, py::handle path, py::object progress) {
  const std::string folder = to_path(path);
  LongCall call(std::move(progress));
  const ExportReport report = run(call, self, [&](Catalog& catalog, const Progress& go_on) {
    return catalog.export_to(folder, go_on);
  });
  return py::make_tuple(report.items, report.pictures);
}

py::tuple import_from(const OpenCatalog& self, py::handle path, py::object progress) {
  const std::string folder = to_path(path);
  LongCall call(std::move(progress));
  return from_report(run(call, self, [&](Catalog& catalog, const Progress& go_on) {
    return catalog.import_from(folder, go_on);
  }));
}

void save_snapshot(const OpenCatalog& self) {
  without_gil(self, [](Catalog& catalog) { catalog.save_snapshot(); });
}

py::list near_duplicates(const OpenCatalog& self, float max_distance, std::uint32_t neighbours,
                         py::object progress) {
  const DuplicateOptions options{max_distance, neighbours};
  LongCall call(std::move(progress));
  const auto groups = run(call, self, [&](Catalog& catalog, const Progress& go_on) {
    return catalog.near_duplicates(options, go_on);
  });
  py::list result;
  for (const DuplicateGroup& group : groups) {
    result.append(py::make_tuple(from_texts(group.keys), group.first, group.max_distance,
                                 group.same_content));
  }
  return result;
}

void declare_field(const OpenCatalog& self, py::handle name, py::handle type) {
  const std::string type_name = to_utf8(type, "type");
  const std::optional<FieldType> known = find_field_type(type_name);
  if (!known) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("type must be 'text', 'number', 'boolean' or 'tags', not '{}'", type_name));
  }
  const Field field{to_utf8(name, "name"), *known};
  without_gil(self, [&](Catalog& catalog) { catalog.declare_field(field); });
}

void drop_field(const OpenCatalog& self, py::handle name) {
  const std::string wanted = to_utf8(name, "name");
  without_gil(self, [&](Catalog& catalog) { catalog.drop_field(wanted); });
}

py::dict fields(const OpenCatalog& self) {
  const auto found = without_gil(self, [](Catalog& catalog) { return catalog.fields(); });
  py::dict result;
  for (const Field& field : found) {
    result[py::str(field.name)] = py::str(field_type_name(field.type));
  }
  return result;
}

}  // namespace

void define_care(py::class_<OpenCatalog>& catalog) {
  catalog
      .def("check_health", &check_health, py::arg("sample"), py::arg("k"), py::arg("breadth"),
           py::arg("seed"), py::arg("progress"))
      .def("check", &check, py::arg("sample"), py::arg("k"), py::arg("breadth"), py::arg("seed"),
           py::arg("min_self_recall"), py::arg("progress"))
      .def("compact", &compact, py::arg("progress"))
      .def("backup", &backup, py::arg("path"), py::arg("progress"))
      .def("export_to", &export_to, py::arg("path"), py::arg("progress"))
      .def("import_from", &import_from, py::arg("path"), py::arg("progress"))
      .def("save_snapshot", &save_snapshot)
      .def("near_duplicates", &near_duplicates, py::arg("max_distance"), py::arg("neighbours"),
           py::arg("progress"))
      .def("declare_field", &declare_field, py::arg("name"), py::arg("type"))
      .def("drop_field", &drop_field, py::arg("name"))
      .def("fields", &fields);
}

}  // namespace vsearch::python

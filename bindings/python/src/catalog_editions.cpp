// Editions of a catalogue for Python: reencode, rollback and what is kept.
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "labelled.h"
#include "module.h"
#include "open_catalog.h"
#include "vsearch/edition.h"

namespace vsearch::python {
namespace {

using py::literals::operator""_a;

py::dict from_edition(const EditionInfo& edition) {
  return py::dict("id"_a = edition.id, "state"_a = py::str(edition_state_name(edition.state)),
                  "encoder"_a = from_path(edition.encoder), "encoder_name"_a = edition.encoder_name,
                  "encoder_fingerprint"_a = edition.encoder_fingerprint, "dim"_a = edition.dim,
                  "metric"_a = metric_name(edition.metric), "embeddings"_a = edition.embeddings);
}

py::dict from_comparison(const EditionComparison& comparison) {
  return py::dict("k"_a = comparison.k, "sampled"_a = comparison.sampled,
                  "overlap"_a = comparison.overlap, "labelled"_a = comparison.labelled,
                  "recall_before"_a = comparison.recall_before,
                  "recall_after"_a = comparison.recall_after);
}

py::dict from_report(const ReencodeReport& report) {
  py::list missing;
  for (const ReencodeReport::Missing& picture : report.missing) {
    missing.append(py::make_tuple(picture.picture, picture.key, from_path(picture.path),
                                  from_message(picture.message)));
  }
  return py::dict("edition"_a = from_edition(report.edition), "switched"_a = report.switched,
                  "refusal"_a = from_message(report.refusal), "encoded"_a = report.encoded,
                  "reused"_a = report.reused, "missing"_a = missing,
                  "comparison"_a = from_comparison(report.comparison));
}

// (key or None, path or None, relevant keys)
py::dict reencode(const OpenCatalog& self, const LoadedEncoder& encoder, bool keep_old,
                  double max_missing_share, std::uint32_t k, std::uint32_t sample,
                  std::uint64_t seed, const py::list& queries, double min_overlap,
                  double max_recall_loss, const py::object& gate, py::object progress) {
  LongCall call(std::move(progress));
  ReencodeOptions options;
  options.encoder_ref = encoder.reference;
  options.keep_old = keep_old;
  options.max_missing_share = max_missing_share;
  options.k = k;
  options.sample = sample;
  options.queries = to_queries(queries);
  options.seed = seed;
  options.min_overlap = min_overlap;
  options.max_recall_loss = max_recall_loss;
  if (!gate.is_none()) {
    options.gate = [&](const EditionComparison& comparison) {
      return call.ask([&] { return gate(from_comparison(comparison)); });
    };
  }
  return from_report(run(call, self, [&](Catalog& catalog, const Progress& go_on) {
    return catalog.reencode(encoder.encoder, options, go_on);
  }));
}

py::dict rollback(const OpenCatalog& self, py::object progress) {
  LongCall call(std::move(progress));
  return from_report(run(
      call, self, [](Catalog& catalog, const Progress& go_on) { return catalog.rollback(go_on); }));
}

py::list editions(const OpenCatalog& self) {
  const auto found = without_gil(self, [](Catalog& catalog) { return catalog.editions(); });
  py::list result;
  for (const EditionInfo& edition : found) result.append(from_edition(edition));
  return result;
}

void drop_edition(const OpenCatalog& self, std::int64_t id) {
  without_gil(self, [&](Catalog& catalog) { catalog.drop_edition(id); });
}

}  // namespace

std::vector<LabelledQuery> to_queries(const py::list& given) {
  std::vector<LabelledQuery> queries;
  for (const py::handle query : given) {
    const auto [key, path, relevant] =
        py::cast<std::tuple<py::object, py::object, py::list>>(query);
    LabelledQuery& to = queries.emplace_back();
    if (!key.is_none()) to.key = to_utf8(key, "the key of a query");
    if (!path.is_none()) to.path = to_path(path);
    for (const py::handle item : relevant) {
      to.relevant.push_back(to_utf8(item, "the relevant key of a query"));
    }
  }
  return queries;
}

void define_editions(py::class_<OpenCatalog>& catalog) {
  catalog
      .def("reencode", &reencode, py::arg("encoder"), py::arg("keep_old"),
           py::arg("max_missing_share"), py::arg("k"), py::arg("sample"), py::arg("seed"),
           py::arg("queries"), py::arg("min_overlap"), py::arg("max_recall_loss"), py::arg("gate"),
           py::arg("progress"))
      .def("rollback", &rollback, py::arg("progress"))
      .def("editions", &editions)
      .def("drop_edition", &drop_edition, py::arg("id"));
}

}  // namespace vsearch::python

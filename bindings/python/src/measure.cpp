// Metrics, data sets, evaluations and audits, for Python.
#include <fmt/format.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert.h"
#include "labelled.h"
#include "module.h"
#include "open_catalog.h"
#include "vsearch/audit.h"
#include "vsearch/catalog_dataset.h"
#include "vsearch/dataset.h"
#include "vsearch/evaluator.h"
#include "vsearch/metrics.h"
#include "vsearch/report.h"

namespace vsearch::python {
namespace {

using py::literals::operator""_a;
using Labels = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;
using Rows = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Lists = std::vector<std::vector<std::uint32_t>>;

template <typename Array>
auto items_of(const Array& values) {
  return std::span(values.data(), static_cast<std::size_t>(values.size()));
}

py::tuple from_estimate(const Estimate& estimate) {
  return py::make_tuple(estimate.mean, estimate.low, estimate.high, estimate.count);
}

template <typename T>
py::array_t<T> copied(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// The fields of Scores.
py::dict from_scores(const RetrievalScores& scores) {
  const auto queries = static_cast<py::ssize_t>(scores.values.rows);
  const auto columns = static_cast<py::ssize_t>(scores.values.cols);
  py::array_t<float> values({queries, columns});
  std::ranges::copy(scores.values.data, values.mutable_data());
  py::list answers;
  for (const std::vector<RankedAnswer>& of_query : scores.answers) {
    py::list list;
    for (const RankedAnswer& answer : of_query) {
      list.append(py::make_tuple(answer.row, answer.similarity, answer.right));
    }
    answers.append(std::move(list));
  }
  return py::dict("names"_a = scores.names, "values"_a = values,
                  "right_answers"_a = copied(scores.right_answers),
                  "first_right"_a = copied(scores.first_right),
                  "nearest_right"_a = copied(scores.nearest_right),
                  "nearest_wrong"_a = copied(scores.nearest_wrong), "answers"_a = answers);
}

py::dict score(py::handle queries, py::handle gallery, const Labels& query_labels,
               const Labels& gallery_labels, const Rows& self, bool keep_self,
               const Lists& positives, const Lists& ignored, bool trapezoid, std::uint32_t cutoff,
               const std::vector<std::uint32_t>& recall_at,
               const std::vector<std::uint32_t>& precision_at, std::uint32_t knn,
               std::uint32_t keep_answers, std::uint32_t threads, py::object progress) {
  const Floats query_rows = to_floats(queries, 2, "queries");
  const Floats gallery_rows = to_floats(gallery, 2, "gallery");
  RetrievalTask task;
  task.queries = view_of(query_rows);
  task.gallery = view_of(gallery_rows);
  task.query_labels = items_of(query_labels);
  task.gallery_labels = items_of(gallery_labels);
  task.self = items_of(self);
  task.self_match = keep_self ? SelfMatch::kKept : SelfMatch::kRemoved;
  task.positives = positives;
  task.ignored = ignored;
  task.average_precision = trapezoid ? AveragePrecision::kTrapezoid : AveragePrecision::kStandard;
  task.cutoff = cutoff;
  RetrievalOptions options;
  options.recall_at = recall_at;
  options.precision_at = precision_at;
  options.knn = knn;
  options.keep_answers = keep_answers;
  options.threads = threads;
  LongCall call(std::move(progress));
  return from_scores(
      call.run([&](const Progress& go_on) { return score_retrieval(task, options, go_on); }));
}

py::tuple estimate(py::handle values, std::uint32_t resamples, std::uint64_t seed) {
  const Floats numbers = to_floats(values, 1, "values");
  const py::gil_scoped_release no_gil;
  const Estimate result = estimate_mean(span_of(numbers), resamples, seed);
  const py::gil_scoped_acquire gil;
  return from_estimate(result);
}

py::dict compare(py::handle a, py::handle b, std::uint32_t resamples, std::uint64_t seed) {
  const Floats first = to_floats(a, 1, "a");
  const Floats second = to_floats(b, 1, "b");
  PairedComparison result;
  {
    const py::gil_scoped_release no_gil;
    result = compare_paired(span_of(first), span_of(second), resamples, seed);
  }
  return py::dict("difference"_a = from_estimate(result.difference), "p_value"_a = result.p_value,
                  "better"_a = result.better, "worse"_a = result.worse, "equal"_a = result.equal);
}

Dataset read_dataset(const std::string& kind, py::handle root, bool incomplete) {
  DatasetOptions options;
  options.check_files = !incomplete;
  options.check_counts = !incomplete;
  const std::string path = to_path(root);
  const py::gil_scoped_release no_gil;
  return load_dataset(kind, path, options);
}

Dataset dataset_by_fields(const OpenCatalog& catalog, const std::vector<std::string>& fields) {
  return without_gil(catalog, [&](Catalog& open) { return catalog_dataset(open, fields); });
}

Dataset dataset_by_queries(const OpenCatalog& catalog, const py::list& queries) {
  const std::vector<LabelledQuery> labelled = to_queries(queries);
  return without_gil(catalog, [&](Catalog& open) { return catalog_dataset(open, labelled); });
}

py::list from_pictures(const Dataset& dataset) {
  py::list result;
  for (const DatasetPicture& picture : dataset.pictures) {
    result.append(py::make_tuple(from_path(picture.path), picture.label, picture.domain,
                                 from_message(picture.split), from_crop(picture.crop),
                                 from_path(picture.mask)));
  }
  return result;
}

py::dict from_fields(const Dataset& dataset) {
  py::dict result;
  for (const DatasetField& field : dataset.fields) {
    result[from_message(field.name)] =
        py::make_tuple(from_texts(field.values), copied(field.of_picture));
  }
  return result;
}

py::list from_protocols(const Dataset& dataset) {
  py::list result;
  for (const Protocol& protocol : dataset.protocols) {
    result.append(py::make_tuple(from_message(protocol.name), copied(protocol.queries),
                                 copied(protocol.gallery)));
  }
  return result;
}

EvaluationOptions to_options(const std::vector<std::string>& protocols, const std::string& rerank,
                             py::handle cache, std::uint32_t bootstrap, std::uint64_t seed) {
  EvaluationOptions options;
  options.protocols = protocols;
  options.rerank = parse_rerank(rerank);
  if (!cache.is_none()) options.cache = to_path(cache);
  options.bootstrap = bootstrap;
  options.seed = seed;
  options.retrieval.keep_answers = kReportAnswers;
  return options;
}

Evaluation evaluate_encoder(const LoadedEncoder& encoder, const Dataset& dataset,
                            const std::vector<std::string>& protocols, const std::string& rerank,
                            py::handle cache, std::uint32_t bootstrap, std::uint64_t seed,
                            py::object progress) {
  EvaluationOptions options = to_options(protocols, rerank, cache, bootstrap, seed);
  LongCall call(std::move(progress));
  return call.run([&](const Progress& go_on) {
    options.progress = go_on;
    return evaluate(*encoder.encoder, dataset, options);
  });
}

// Embeddings that were made elsewhere.
Evaluation evaluate_rows(py::handle embeddings, const std::string& name, const Dataset& dataset,
                         const std::vector<std::string>& protocols, const std::string& rerank,
                         std::uint32_t bootstrap, std::uint64_t seed, py::object progress) {
  EvaluationOptions options = to_options(protocols, rerank, py::none(), bootstrap, seed);
  const Floats rows = to_floats(embeddings, 2, "embeddings");
  const MatrixView view = view_of(rows);
  DatasetEmbeddings given;
  given.rows = Matrix(view.rows, view.cols);
  std::ranges::copy(span_of(rows), given.rows.data.begin());
  EncoderInfo info;
  info.name = name;
  info.dim = static_cast<std::uint32_t>(view.cols);
  LongCall call(std::move(progress));
  return call.run([&](const Progress& go_on) {
    options.progress = go_on;
    return evaluate(given, info, dataset, options);
  });
}

CatalogEvaluation evaluate_catalog(const OpenCatalog& catalog, const py::list& queries,
                                   std::uint32_t depth, std::uint32_t breadth, bool exact,
                                   std::uint32_t bootstrap, std::uint64_t seed,
                                   py::object progress) {
  const std::vector<LabelledQuery> labelled = to_queries(queries);
  CatalogEvaluationOptions options;
  options.depth = depth;
  options.breadth = breadth;
  options.exact = exact;
  options.bootstrap = bootstrap;
  options.seed = seed;
  LongCall call(std::move(progress));
  return run(call, catalog, [&](Catalog& open, const Progress& go_on) {
    options.progress = go_on;
    return evaluate(open, labelled, options);
  });
}

Audit audit_encoder(const LoadedEncoder& encoder, const Dataset& dataset,
                    const std::vector<std::string>& only, const std::string& colour_field,
                    py::handle cache, std::uint32_t sample, std::uint32_t gallery,
                    std::uint64_t seed, py::object progress) {
  AuditOptions options;
  options.only = only;
  options.colour_field = colour_field;
  if (!cache.is_none()) options.cache = to_path(cache);
  options.sample = sample;
  options.gallery = gallery;
  options.seed = seed;
  LongCall call(std::move(progress));
  return call.run([&](const Progress& go_on) {
    options.progress = go_on;
    return audit(*encoder.encoder, dataset, options);
  });
}

py::list from_results(const Evaluation& evaluation) {
  py::list result;
  for (const ProtocolResult& protocol : evaluation.protocols) {
    result.append(py::dict("protocol"_a = from_message(protocol.protocol),
                           "scores"_a = from_scores(protocol.scores),
                           "pictures"_a = copied(protocol.pictures),
                           "gallery_pictures"_a = copied(protocol.gallery_pictures)));
  }
  return result;
}

void report(py::handle path, const std::vector<const Evaluation*>& evaluations,
            const Dataset* dataset, const Audit* audit_made, const CatalogEvaluation* catalog,
            const std::string& title, const std::string& command) {
  const std::string file = to_path(path);
  std::vector<Evaluation> all;
  for (const Evaluation* one : evaluations) all.push_back(*one);
  ReportInput input;
  input.evaluations = all;
  input.dataset = dataset;
  input.audit = audit_made;
  input.catalog = catalog;
  ReportOptions options;
  options.title = title;
  options.command = command;
  const py::gil_scoped_release no_gil;
  write_report(file, input, options);
}

}  // namespace

void define_measure(py::module_& module) {
  py::class_<Dataset>(module, "Dataset")
      .def_property_readonly("name", [](const Dataset& self) { return from_message(self.name); })
      .def_property_readonly("root",
                             [](const Dataset& self) { return from_path(self.root.string()); })
      .def_property_readonly("pictures", &from_pictures)
      .def_property_readonly("classes",
                             [](const Dataset& self) { return from_texts(self.classes); })
      .def_property_readonly("domains",
                             [](const Dataset& self) { return from_texts(self.domains); })
      .def_property_readonly("fields", &from_fields)
      .def_property_readonly("protocols", &from_protocols);
  py::class_<Evaluation>(module, "Evaluation")
      .def("to_json",
           [](const Evaluation& self, bool every_query) { return to_json(self, every_query); })
      .def_property_readonly("results", &from_results);
  py::class_<CatalogEvaluation>(module, "CatalogEvaluation")
      .def("to_json", [](const CatalogEvaluation& self) { return to_json(self); });
  py::class_<Audit>(module, "Audit").def("to_json", [](const Audit& self) {
    return to_json(self);
  });
  module.def("dataset_kinds", [] {
    py::list result;
    for (const DatasetKind& kind : dataset_kinds()) {
      result.append(py::make_tuple(py::str(kind.name), py::str(kind.title), py::str(kind.contents),
                                   py::str(kind.source), py::str(kind.layout)));
    }
    return result;
  });
  module.def("load_dataset", &read_dataset);
  module.def("catalog_dataset", &dataset_by_fields);
  module.def("catalog_dataset_of_queries", &dataset_by_queries);
  module.def("score_retrieval", &score);
  module.def("estimate_mean", &estimate);
  module.def("compare_paired", &compare);
  module.def("evaluate_encoder", &evaluate_encoder);
  module.def("evaluate_rows", &evaluate_rows);
  module.def("evaluate_catalog", &evaluate_catalog);
  module.def("audit_encoder", &audit_encoder);
  module.def("write_report", &report);
}

}  // namespace vsearch::python

#include "vsearch/index.h"
#include "vsearch/exact_searcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "convert.h"
#include "module.h"
#include "vsearch/vector_file.h"

namespace vsearch::python {
namespace {

// Between two looks for Ctrl-C. Exact searches share the work of a batch, of as many as they can.
constexpr std::size_t kQueriesAtATime = 64;
constexpr std::size_t kExactAtATime = 256;

Storage storage_of(const std::string& name) {
  const std::optional<Storage> storage = find_storage(name);
  if (storage) return *storage;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("storage is '{}': give 'int8', 'float32', 'float16', 'bfloat16' or "
                          "'compact'",
                          name));
}

std::unique_ptr<Index> make(std::uint32_t dim, const std::string& metric, std::uint32_t links,
                            std::uint32_t build_breadth, const std::string& storage,
                            std::uint32_t threads) {
  IndexOptions options;
  options.dim = dim;
  options.metric = metric_of(metric);
  options.links = links;
  options.build_breadth = build_breadth;
  options.storage = storage_of(storage);
  options.threads = threads;
  return std::make_unique<Index>(options);
}

void add_vectors(Index& self, py::handle vectors, py::handle ids, py::object progress) {
  const Floats rows = to_floats(vectors, 2, "vectors");
  const Ids names = to_ids(ids, "ids");
  LongCall call(std::move(progress));
  call.run([&](const Progress& report) { self.add(view_of(rows), span_of(names), report); });
}

std::uint64_t remove_vectors(Index& self, py::handle ids) {
  const Ids names = to_ids(ids, "ids");
  const py::gil_scoped_release no_gil;
  return self.remove(span_of(names));
}

// The answers of several queries as two arrays [queries x m], m being the most that one query
// found; what a query found less is filled with id 0 at an infinite distance.
struct Answers {
  std::size_t width = 0;
  std::vector<Id> ids;
  std::vector<float> distances;
};

void check_dimension(MatrixView queries, const Index& index) {
  if (queries.rows > 0 && queries.cols != index.options().dim) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("query has {} dimensions, but the index has {}", queries.cols,
                            index.options().dim));
  }
}

// `search`: answers some rows of `queries`, at most `at_a_time`.
template <typename Search>
Answers search_all(MatrixView queries, std::size_t at_a_time, const Progress& progress,
                   const Search& search) {
  std::vector<std::vector<Neighbor>> found;
  found.reserve(queries.rows);
  Answers answers;
  while (found.size() < queries.rows) {
    if (!found.empty() && !progress(found.size(), queries.rows)) {
      throw Error(ErrorCode::kCancelled, "the search was cancelled");
    }
    const std::size_t begin = found.size();
    const std::size_t count = std::min(at_a_time, queries.rows - begin);
    const MatrixView part{queries.row(begin).data(), count, queries.cols};
    for (std::vector<Neighbor>& each : search(part)) {
      answers.width = std::max(answers.width, each.size());
      found.push_back(std::move(each));
    }
  }
  answers.ids.assign(queries.rows * answers.width, 0);
  answers.distances.assign(queries.rows * answers.width, std::numeric_limits<float>::infinity());
  for (std::size_t row = 0; row < found.size(); ++row) {
    for (std::size_t i = 0; i < found[row].size(); ++i) {
      answers.ids[row * answers.width + i] = found[row][i].id;
      answers.distances[row * answers.width + i] = found[row][i].distance;
    }
  }
  return answers;
}

py::tuple to_tuple(Answers answers, std::size_t queries) {
  const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(queries),
                                       static_cast<py::ssize_t>(answers.width)};
  return py::make_tuple(to_numpy(std::move(answers.ids), shape),
                        to_numpy(std::move(answers.distances), shape));
}

std::unique_ptr<IdFilter> make_filter(py::handle ids) {
  return std::make_unique<IdFilter>(span_of(to_ids(ids, "ids")));
}

// The filter that a caller gave: none, one to keep, or ids, of which `made` becomes one.
const IdFilter* to_filter(py::handle ids, std::optional<IdFilter>& made) {
  if (ids.is_none()) return nullptr;
  if (py::isinstance<IdFilter>(ids)) return ids.cast<const IdFilter*>();
  return &made.emplace(span_of(to_ids(ids, "ids")));
}

py::tuple search_index(const Index& self, py::handle query, std::uint32_t k, std::uint32_t breadth,
                       py::handle ids, double recall, bool exact, std::uint32_t threads) {
  const Floats rows = to_floats(query, 2, "query");
  const MatrixView queries = view_of(rows);
  std::optional<IdFilter> made;
  SearchOptions options;
  options.k = k;
  options.breadth = breadth;
  options.filter = to_filter(ids, made);
  options.recall = recall;
  options.exact = exact;
  options.threads = threads;
  LongCall call{py::none()};
  return to_tuple(call.run([&](const Progress& progress) {
    check_dimension(queries, self);
    return search_all(queries, exact ? kExactAtATime : kQueriesAtATime, progress,
                      [&](MatrixView part) { return self.search_batch(part, options); });
  }),
                  queries.rows);
}

// An ExactSearcher and the index that it borrows.
struct Searcher {
  std::shared_ptr<Index> index;
  ExactSearcher searcher;
};

std::unique_ptr<Searcher> make_searcher(std::shared_ptr<Index> index, py::handle device,
                                        std::uint64_t working_bytes) {
  ExactSearcherOptions options;
  options.device = to_utf8(device, "device");
  options.working_bytes = working_bytes;
  const py::gil_scoped_release no_gil;
  ExactSearcher searcher(*index, options);
  return std::make_unique<Searcher>(std::move(index), std::move(searcher));
}

void calibrate(const Index& self, py::handle queries) {
  if (queries.is_none()) {
    const py::gil_scoped_release no_gil;
    self.calibrate();
    return;
  }
  const Floats rows = to_floats(queries, 2, "queries");
  const MatrixView view = view_of(rows);
  const py::gil_scoped_release no_gil;
  self.calibrate(view);
}

py::tuple search_with(Searcher& self, py::handle query, std::uint32_t k, py::handle ids,
                      std::uint32_t threads) {
  constexpr std::size_t kAtATime = 1024;
  const Floats rows = to_floats(query, 2, "query");
  const MatrixView queries = view_of(rows);
  std::optional<IdFilter> made;
  SearchOptions options;
  options.k = k;
  options.filter = to_filter(ids, made);
  options.threads = threads;
  LongCall call{py::none()};
  return to_tuple(call.run([&](const Progress& progress) {
    check_dimension(queries, *self.index);
    return search_all(queries, kAtATime, progress,
                      [&](MatrixView part) { return self.searcher.search_batch(part, options); });
  }),
                  queries.rows);
}

py::array_t<float> vector(const Index& self, Id id) {
  std::vector<float> values = self.vector(id);
  const auto dim = static_cast<py::ssize_t>(values.size());
  return to_numpy(std::move(values), {dim});
}

template <typename Ids>  // an Index, an IdFilter
py::array_t<Id> ids_of(const Ids& self) {
  std::vector<Id> ids;
  {
    const py::gil_scoped_release no_gil;
    ids = self.ids();
  }
  const auto count = static_cast<py::ssize_t>(ids.size());
  return to_numpy(std::move(ids), {count});
}

py::dict stats(const Index& self) {
  using py::literals::operator""_a;
  const IndexStats stats = [&] {
    const py::gil_scoped_release no_gil;
    return self.stats();
  }();
  return py::dict("size"_a = stats.size, "removed"_a = stats.removed, "capacity"_a = stats.capacity,
                  "memory_bytes"_a = stats.memory_bytes, "vector_bytes"_a = stats.vector_bytes,
                  "link_bytes"_a = stats.link_bytes, "table_bytes"_a = stats.table_bytes,
                  "free_bytes"_a = stats.free_bytes, "walked_bytes"_a = stats.walked_bytes);
}

py::dict check_index(const Index& self, std::uint32_t sample, std::uint32_t k,
                     std::uint32_t breadth, std::uint64_t seed, py::object progress) {
  const HealthOptions options{sample, k, breadth, seed};
  LongCall call(std::move(progress));
  return to_dict(
      call.run([&](const Progress& report) { return self.check_health(options, report); }));
}

void merge(Index& self, const Index& other, py::object progress) {
  LongCall call(std::move(progress));
  call.run([&](const Progress& report) { self.merge(other, report); });
}

std::uint64_t add_rows(Index& self, py::handle path, const std::string& dataset, py::handle ids,
                       py::object progress) {
  const std::string file = to_path(path);
  std::optional<Ids> names;
  if (!ids.is_none()) names = to_ids(ids, "ids");
  LongCall call(std::move(progress));
  return call.run([&](const Progress& report) {
    const VectorFile vectors(file, dataset);
    if (names && static_cast<std::uint64_t>(names->size()) != vectors.rows()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' has {} rows but there are {} ids: give one id a row", file,
                              vectors.rows(), names->size()));
    }
    add_file(self, vectors, names ? span_of(*names) : std::span<const Id>(), report);
    return vectors.rows();
  });
}

void save(const Index& self, py::handle path) {
  const std::string file = to_path(path);
  const py::gil_scoped_release no_gil;
  self.save(file);
}

std::shared_ptr<Index> load_index(py::handle path) {
  const std::string file = to_path(path);
  const py::gil_scoped_release no_gil;
  return std::make_shared<Index>(Index::load(file));
}

}  // namespace

py::dict to_dict(IndexHealth health) {
  using py::literals::operator""_a;
  const auto degrees = static_cast<py::ssize_t>(health.degrees.size());
  const auto dim = static_cast<py::ssize_t>(health.mean.size());
  return py::dict("size"_a = health.size, "removed_share"_a = health.removed_share,
                  "degrees"_a = to_numpy(std::move(health.degrees), {degrees}),
                  "least_degree"_a = health.least_degree, "most_degree"_a = health.most_degree,
                  "mean_degree"_a = health.mean_degree, "unreachable"_a = health.unreachable,
                  "duplicates"_a = health.duplicates,
                  "mean"_a = to_numpy(std::move(health.mean), {dim}), "spread"_a = health.spread,
                  "sampled"_a = health.sampled, "self_recall"_a = health.self_recall,
                  "lost"_a = health.lost, "distances_per_query"_a = health.distances_per_query);
}

void define_index(py::module_& module) {
  using no_gil = py::call_guard<py::gil_scoped_release>;
  py::class_<Index, std::shared_ptr<Index>>(module, "Index")
      .def(py::init(&make), py::arg("dim"), py::arg("metric"), py::arg("links"),
           py::arg("build_breadth"), py::arg("storage"), py::arg("threads"))
      .def_static("load", &load_index, py::arg("path"))
      .def("save", &save, py::arg("path"))
      .def_property_readonly("dim", [](const Index& self) { return self.options().dim; })
      .def_property_readonly("metric",
                             [](const Index& self) { return metric_name(self.options().metric); })
      .def_property_readonly("storage",
                             [](const Index& self) { return storage_name(self.options().storage); })
      .def("size", &Index::size, no_gil())
      .def("contains", &Index::contains, py::arg("id"), no_gil())
      .def("ids", &ids_of<Index>)
      .def("stats", &stats)
      .def("vector", &vector, py::arg("id"))
      .def("add", &add_vectors, py::arg("vectors"), py::arg("ids"), py::arg("progress"))
      .def("add_file", &add_rows, py::arg("path"), py::arg("dataset"), py::arg("ids"),
           py::arg("progress"))
      .def("merge", &merge, py::arg("other"), py::arg("progress"))
      .def("check_health", &check_index, py::arg("sample"), py::arg("k"), py::arg("breadth"),
           py::arg("seed"), py::arg("progress"))
      .def("remove", &remove_vectors, py::arg("ids"))
      .def("calibrate", &calibrate, py::arg("queries"))
      .def("search", &search_index, py::arg("query"), py::arg("k"), py::arg("breadth"),
           py::arg("ids"), py::arg("recall"), py::arg("exact"), py::arg("threads"));
  py::class_<IdFilter>(module, "IdFilter")
      .def(py::init(&make_filter), py::arg("ids"))
      .def("size", &IdFilter::size)
      .def("contains", &IdFilter::contains, py::arg("id"))
      .def("ids", &ids_of<IdFilter>);
  py::class_<Searcher>(module, "ExactSearcher")
      .def(py::init(&make_searcher), py::arg("index"), py::arg("device"), py::arg("working_bytes"))
      .def_property_readonly("device", [](const Searcher& self) { return self.searcher.device(); })
      .def(
          "refresh", [](Searcher& self) { return self.searcher.refresh(); }, no_gil())
      .def("search", &search_with, py::arg("query"), py::arg("k"), py::arg("ids"),
           py::arg("threads"));
}

}  // namespace vsearch::python

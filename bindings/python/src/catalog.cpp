#include "vsearch/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "convert.h"
#include "module.h"
#include "vsearch/filter.h"
#include "vsearch/searcher.h"

namespace vsearch::python {
namespace {

// A catalogue that can be closed. A call that is running on another thread keeps it open until it
// returns.
class OpenCatalog {
 public:
  explicit OpenCatalog(Catalog catalog) : catalog_(std::make_shared<Catalog>(std::move(catalog))) {}
  OpenCatalog(const OpenCatalog&) = delete;
  OpenCatalog& operator=(const OpenCatalog&) = delete;
  ~OpenCatalog() { close(); }

  // Called with the GIL held, which guards catalog_.
  std::shared_ptr<Catalog> get() const {
    if (!catalog_)
      throw Error(ErrorCode::kInvalidArgument, "the catalogue is closed: open it again");
    return catalog_;
  }
  bool closed() const { return catalog_ == nullptr; }
  void close() {
    std::shared_ptr<Catalog> last = std::move(catalog_);
    const py::gil_scoped_release no_gil;  // closing saves the index and may log
    last.reset();
  }

 private:
  std::shared_ptr<Catalog> catalog_;
};

// Runs `body` with the open catalogue and without the GIL: every member of Catalog may wait for
// another thread, and that thread may wait for the GIL to log or to report progress.
template <class Body>
auto without_gil(const OpenCatalog& self, Body&& body) {
  std::shared_ptr<Catalog> catalog = self.get();
  const py::gil_scoped_release no_gil;
  // Moved inside so that the last owner lets go without the GIL.
  const std::shared_ptr<Catalog> open = std::move(catalog);
  return std::forward<Body>(body)(*open);
}

std::unique_ptr<OpenCatalog> create(py::handle path, const LoadedEncoder& encoder, py::object log) {
  const std::string folder = to_path(path);
  CatalogCreateOptions options;
  options.encoder = encoder.encoder;
  options.encoder_ref = encoder.reference;
  options.log = to_log(std::move(log));
  const py::gil_scoped_release no_gil;
  return std::make_unique<OpenCatalog>(Catalog::create(folder, options));
}

std::unique_ptr<OpenCatalog> open(py::handle path, const LoadedEncoder* encoder, py::object log,
                                  py::object progress) {
  const std::string folder = to_path(path);
  CatalogOptions options;
  if (encoder != nullptr) options.encoder = encoder->encoder;
  options.encoder_loader = [](const std::string& name) { return load_encoder(find_encoder(name)); };
  options.log = to_log(std::move(log));
  LongCall call(std::move(progress));
  return call.run([&](const Progress& report) {
    options.progress = report;
    return std::make_unique<OpenCatalog>(Catalog::open(folder, options));
  });
}

// What Python gave for one picture: (path, image or None, embedding or None).
struct PictureSource {
  std::string path;
  std::optional<PictureArgument> image;
  std::optional<Floats> embedding;
};

struct ItemSource {
  std::string key;
  std::string metadata;
  std::vector<PictureSource> pictures;
};

std::vector<ItemSource> to_sources(const py::list& items) {
  std::vector<ItemSource> sources;
  for (const py::handle item : items) {
    const auto [key, pictures, metadata] =
        py::cast<std::tuple<py::object, py::list, py::object>>(item);
    ItemSource source;
    source.key = to_utf8(key, "key");
    source.metadata = to_utf8(metadata, "metadata");
    for (const py::handle picture : pictures) {
      const auto [path, image, embedding] =
          py::cast<std::tuple<py::object, py::object, py::object>>(picture);
      const std::string name =
          fmt::format("picture {} of '{}'", source.pictures.size(), source.key);
      PictureSource& to = source.pictures.emplace_back();
      to.path = to_path(path);
      if (!image.is_none()) to.image.emplace(image, name);
      if (!embedding.is_none()) to.embedding = to_floats(embedding, 1, "the embedding of " + name);
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

bool has_pixels(const std::vector<ItemSource>& sources) {
  return std::ranges::any_of(sources, [](const ItemSource& source) {
    return std::ranges::any_of(source.pictures, [](const PictureSource& picture) {
      return picture.image && picture.image->has_pixels();
    });
  });
}

// The embeddings of the pictures that came as pixels, which Catalog does not take, in their order.
Matrix encode_pixels(const Encoder& encoder, const std::vector<ItemSource>& sources,
                     const Progress& progress) {
  std::vector<ImageView> views;
  for (const ItemSource& source : sources) {
    for (const PictureSource& picture : source.pictures) {
      if (picture.image && picture.image->has_pixels()) views.push_back(picture.image->pixels());
    }
  }
  return encoder.encode(views, [&](std::uint64_t, std::uint64_t) {
    return progress(0, sources.size());  // no item is done yet
  });
}

AddReport add_sources(Catalog& catalog, const std::vector<ItemSource>& sources,
                      const Progress& progress) {
  Matrix encoded;
  std::string fingerprint;
  if (has_pixels(sources)) {
    const std::shared_ptr<const Edition> edition = catalog.serving();
    fingerprint = edition->encoder().info().fingerprint;
    encoded = encode_pixels(edition->encoder(), sources, progress);
  }
  std::size_t next = 0;
  std::vector<Item> items;
  items.reserve(sources.size());
  for (const ItemSource& source : sources) {
    Item item;
    item.key = source.key;
    item.metadata = source.metadata;
    for (const PictureSource& given : source.pictures) {
      Picture picture;
      picture.path = given.path;
      if (given.embedding) {
        picture.embedding = span_of(*given.embedding);
      } else if (given.image && given.image->has_pixels()) {
        picture.embedding = std::as_const(encoded).row(next++);
        picture.embedding_fingerprint = fingerprint;
      } else if (given.image) {
        picture.bytes = given.image->bytes();
      }
      item.pictures.push_back(picture);
    }
    items.push_back(std::move(item));
  }
  return catalog.add(items, progress);
}

py::tuple add(const OpenCatalog& self, const py::list& items, py::object progress) {
  const std::vector<ItemSource> sources = to_sources(items);
  std::shared_ptr<Catalog> catalog = self.get();
  LongCall call(std::move(progress));
  const AddReport report = call.run([&](const Progress& go_on) {
    const std::shared_ptr<Catalog> open = std::move(catalog);
    return add_sources(*open, sources, go_on);
  });
  py::list failures;
  for (const AddFailure& failure : report.failures) {
    failures.append(py::make_tuple(failure.key, from_path(failure.path),
                                   static_cast<int>(failure.code), from_message(failure.message)));
  }
  return py::make_tuple(report.added, report.replaced, failures);
}

py::list from_keys(const std::vector<std::string>& keys) {
  py::list result;
  for (const std::string& key : keys) result.append(key);
  return result;
}

py::list remove(const OpenCatalog& self, const py::list& keys) {
  std::vector<std::string> wanted;
  for (const py::handle key : keys) wanted.push_back(to_utf8(key, "key"));
  const auto missing = without_gil(self, [&](Catalog& catalog) { return catalog.remove(wanted); });
  return from_keys(missing);
}

py::list patch(const OpenCatalog& self, const py::list& patches) {
  std::vector<MetadataPatch> wanted;
  for (const py::handle given : patches) {
    const auto [key, changes] = given.cast<std::pair<py::object, py::object>>();
    wanted.push_back({to_utf8(key, "key"), to_utf8(changes, "changes")});
  }
  const auto missing = without_gil(self, [&](Catalog& catalog) { return catalog.patch(wanted); });
  return from_keys(missing);
}

py::object get(const OpenCatalog& self, py::handle key) {
  const std::string wanted = to_utf8(key, "key");
  const auto record = without_gil(self, [&](Catalog& catalog) { return catalog.get(wanted); });
  if (!record) return py::none();
  py::list paths;
  for (const PictureInfo& picture : record->pictures) paths.append(from_path(picture.path));
  return py::make_tuple(record->key, record->metadata, paths);
}

py::list keys(const OpenCatalog& self) {
  const auto found = without_gil(self, [](Catalog& catalog) { return catalog.keys(); });
  return from_keys(found);
}

py::dict info(const OpenCatalog& self) {
  using py::literals::operator""_a;
  const CatalogInfo info = without_gil(self, [](Catalog& catalog) { return catalog.info(); });
  return py::dict("path"_a = from_path(info.path.string()), "encoder"_a = from_path(info.encoder),
                  "encoder_name"_a = info.encoder_name,
                  "encoder_fingerprint"_a = info.encoder_fingerprint, "dim"_a = info.dim,
                  "metric"_a = metric_name(info.metric), "items"_a = info.items,
                  "pictures"_a = info.pictures, "generation"_a = info.generation,
                  "disk_bytes"_a = info.disk_bytes, "index_removed"_a = info.index.removed,
                  "index_memory_bytes"_a = info.index.memory_bytes);
}

py::dict check_health(const OpenCatalog& self, std::uint32_t sample, std::uint32_t k,
                      std::uint32_t breadth, std::uint64_t seed, py::object progress) {
  const HealthOptions options{sample, k, breadth, seed};
  std::shared_ptr<Catalog> catalog = self.get();
  LongCall call(std::move(progress));
  return to_dict(call.run([&](const Progress& report) {
    const std::shared_ptr<Catalog> open = std::move(catalog);
    return open->serving()->index().check_health(options, report);
  }));
}

QueryOptions to_options(std::uint32_t k, std::uint32_t breadth, py::handle where,
                        bool where_is_json, bool exact) {
  QueryOptions options;
  options.k = k;
  options.breadth = breadth;
  options.exact = exact;
  if (!where.is_none()) {
    const std::string text = to_utf8(where, "where");
    options.where = where_is_json ? Filter::from_json(text) : Filter::parse(text);
  }
  return options;
}

// Exactly one of image, like and vector is not None.
py::list search(const OpenCatalog& self, py::handle image, py::handle like, py::handle vector,
                std::uint32_t k, std::uint32_t breadth, py::handle where, bool where_is_json,
                bool exact) {
  const QueryOptions options = to_options(k, breadth, where, where_is_json, exact);
  std::vector<Hit> hits;
  if (!like.is_none()) {
    const Query query = Query::like(to_utf8(like, "like"));
    hits = without_gil(self, [&](Catalog& c) { return Searcher(c).search(query, options); });
  } else if (!vector.is_none()) {
    const Floats values = to_floats(vector, 1, "vector");
    const Query query = Query::vector(span_of(values));
    hits = without_gil(self, [&](Catalog& c) { return Searcher(c).search(query, options); });
  } else {
    const PictureArgument picture(image, "image");
    const Query query = picture.has_pixels()  ? Query::image(picture.pixels())
                        : picture.has_bytes() ? Query::encoded(picture.bytes(), picture.name())
                                              : Query::file(picture.path());
    hits = without_gil(self, [&](Catalog& c) { return Searcher(c).search(query, options); });
  }
  py::list result;
  for (const Hit& hit : hits) {
    result.append(
        py::make_tuple(hit.key, hit.score, hit.distance, from_path(hit.path), hit.metadata));
  }
  return result;
}

}  // namespace

void define_catalog(py::module_& module) {
  py::class_<OpenCatalog>(module, "Catalog")
      .def_static("create", &create, py::arg("path"), py::arg("encoder"), py::arg("log"))
      .def_static("open", &open, py::arg("path"), py::arg("encoder").none(true), py::arg("log"),
                  py::arg("progress"))
      .def("close", &OpenCatalog::close)
      .def_property_readonly("closed", &OpenCatalog::closed)
      .def("add", &add, py::arg("items"), py::arg("progress"))
      .def("remove", &remove, py::arg("keys"))
      .def("patch", &patch, py::arg("patches"))
      .def("get", &get, py::arg("key"))
      .def("keys", &keys)
      .def("info", &info)
      .def("check_health", &check_health, py::arg("sample"), py::arg("k"), py::arg("breadth"),
           py::arg("seed"), py::arg("progress"))
      .def("search", &search, py::arg("image"), py::arg("like"), py::arg("vector"), py::arg("k"),
           py::arg("breadth"), py::arg("where"), py::arg("where_is_json"), py::arg("exact"));
}

}  // namespace vsearch::python

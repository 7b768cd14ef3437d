#include "vsearch/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "convert.h"
#include "module.h"
#include "open_catalog.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/filter.h"
#include "vsearch/searcher.h"

namespace vsearch::python {
namespace {

CatalogOptions to_options(const LoadedEncoder* encoder, py::object log, py::object fetch,
                          std::uint64_t snapshot_changes) {
  CatalogOptions options;
  if (encoder != nullptr) options.encoder = encoder->encoder;
  options.encoder_loader = [](const std::string& name) { return load_encoder(find_encoder(name)); };
  options.fetch = to_fetch(std::move(fetch));
  options.snapshot_changes = snapshot_changes;
  options.log = to_log(std::move(log));
  return options;
}

std::unique_ptr<OpenCatalog> create(py::handle path, const LoadedEncoder& encoder, py::object log,
                                    py::object fetch, std::uint64_t snapshot_changes) {
  const std::string folder = to_path(path);
  const CatalogOptions opened =
      to_options(&encoder, std::move(log), std::move(fetch), snapshot_changes);
  CatalogCreateOptions options;
  options.encoder = encoder.encoder;
  options.encoder_ref = encoder.reference;
  options.encoder_loader = opened.encoder_loader;
  options.fetch = opened.fetch;
  options.snapshot_changes = opened.snapshot_changes;
  options.log = opened.log;
  const py::gil_scoped_release no_gil;
  return std::make_unique<OpenCatalog>(Catalog::create(folder, options));
}

std::unique_ptr<OpenCatalog> open(py::handle path, const LoadedEncoder* encoder, py::object log,
                                  py::object fetch, std::uint64_t snapshot_changes,
                                  py::object progress) {
  const std::string folder = to_path(path);
  CatalogOptions options = to_options(encoder, std::move(log), std::move(fetch), snapshot_changes);
  LongCall call(std::move(progress));
  return call.run([&](const Progress& report) {
    options.progress = report;
    return std::make_unique<OpenCatalog>(Catalog::open(folder, options));
  });
}

// What Python gave for one picture: (path, image or None, embedding or None, crop, role,
// keep_bytes).
struct PictureSource {
  std::string path;
  std::optional<PictureArgument> image;
  std::optional<Floats> embedding;
  CropBox crop;
  std::string role;
  bool keep_bytes = false;
};

struct ItemSource {
  std::string key;
  std::string metadata;
  std::vector<PictureSource> pictures;
};

// What cannot be read is the fault of its item alone.
PictureArgument to_image(py::handle image, const std::string& name) {
  try {
    PictureArgument picture(image, name);
    if (!picture.has_bytes() || !picture.bytes().empty()) return picture;
    return {name, Error(ErrorCode::kBadImage, name + ": the picture file is empty")};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBadImage) throw;
    return {name, error};
  }
}

Floats to_embedding(py::handle embedding, const std::string& name) {
  Floats floats = to_floats(embedding, 1, "the embedding of " + name);
  if (floats.size() > 0) return floats;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the embedding of {} has no numbers; leave it out", name));
}

std::vector<ItemSource> to_sources(const py::list& items) {
  std::vector<ItemSource> sources;
  for (const py::handle item : items) {
    const auto [key, pictures, metadata] =
        py::cast<std::tuple<py::object, py::list, py::object>>(item);
    ItemSource source;
    source.key = to_utf8(key, "key");
    source.metadata = to_utf8(metadata, "metadata");
    for (const py::handle picture : pictures) {
      const auto [path, image, embedding, crop, role, keep_bytes] =
          py::cast<std::tuple<py::object, py::object, py::object, py::object, py::object, bool>>(
              picture);
      const std::string name =
          fmt::format("picture {} of '{}'", source.pictures.size(), source.key);
      PictureSource& to = source.pictures.emplace_back();
      to.path = to_path(path);
      if (!image.is_none()) to.image.emplace(to_image(image, name));
      if (!embedding.is_none()) to.embedding = to_embedding(embedding, name);
      to.crop = to_crop(crop);
      to.role = to_utf8(role, "the role of " + name);
      to.keep_bytes = keep_bytes;
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

// An embedding is used instead of the image.
bool is_pixels(const PictureSource& picture) {
  return !picture.embedding && picture.image && picture.image->has_pixels();
}

bool has_pixels(const std::vector<ItemSource>& sources) {
  return std::ranges::any_of(sources, [](const ItemSource& source) {
    return std::ranges::any_of(source.pictures, is_pixels);
  });
}

// The part of a picture that counts, of at least a pixel; the whole of it for a crop that makes no
// sense, which Catalog refuses.
ImageView part_of(ImageView view, const CropBox& crop) {
  const auto sides = [](float low, float high, std::uint32_t pixels) {
    const auto first =
        std::min(static_cast<std::uint32_t>(low * static_cast<double>(pixels)), pixels - 1);
    const auto last = static_cast<std::uint32_t>(std::ceil(high * static_cast<double>(pixels)));
    return std::pair(first, std::clamp(last, first + 1, pixels));
  };
  const bool sensible = 0 <= crop.left && crop.left < crop.right && crop.right <= 1 &&
                        0 <= crop.top && crop.top < crop.bottom && crop.bottom <= 1;
  if (!sensible || crop.is_whole()) return view;
  const auto [left, right] = sides(crop.left, crop.right, view.width_px);
  const auto [top, bottom] = sides(crop.top, crop.bottom, view.height_px);
  view.data +=
      std::size_t{top} * view.stride_bytes + std::size_t{left} * bytes_per_pixel(view.format);
  view.width_px = right - left;
  view.height_px = bottom - top;
  return view;
}

// Of the pictures that came as pixels, which Catalog does not take, in their order.
struct EncodedPixels {
  Matrix rows;
  std::vector<std::optional<Error>> failures;  // [rows]
};

EncodedPixels encode_pixels(const Encoder& encoder, const std::vector<ItemSource>& sources,
                            const Progress& progress) {
  std::vector<ImageView> views;
  for (const ItemSource& source : sources) {
    for (const PictureSource& picture : source.pictures) {
      if (!is_pixels(picture)) continue;
      views.push_back(part_of(picture.image->pixels(), picture.crop));
    }
  }
  EncodedPixels encoded{Matrix(views.size(), encoder.info().dim), {}};
  encoded.failures.resize(views.size());
  const auto sink = [&](std::size_t view, std::span<const float> embedding, const Error* failure) {
    if (failure != nullptr) {
      encoded.failures[view] = *failure;
    } else {
      std::ranges::copy(embedding, encoded.rows.row(view).begin());
    }
    return true;
  };
  encode_each(encoder, views, sink, [&](std::uint64_t, std::uint64_t) {
    return progress(0, sources.size());  // no item is done yet
  });
  return encoded;
}

AddReport add_sources(Catalog& catalog, const std::vector<ItemSource>& sources,
                      const Progress& progress) {
  EncodedPixels encoded;
  std::string fingerprint;
  if (has_pixels(sources)) {
    const std::shared_ptr<const Edition> edition = catalog.serving();
    fingerprint = edition->encoder().info().fingerprint;
    encoded = encode_pixels(edition->encoder(), sources, progress);
  }
  std::size_t next = 0;
  std::vector<AddFailure> failures;
  std::vector<Item> items;
  items.reserve(sources.size());
  for (const ItemSource& source : sources) {
    Item item;
    item.key = source.key;
    item.metadata = source.metadata;
    const Error* failure = nullptr;
    for (const PictureSource& given : source.pictures) {
      Picture picture;
      picture.path = given.path;
      picture.crop = given.crop;
      picture.role = given.role;
      picture.keep_bytes = given.keep_bytes;
      if (given.embedding) {
        picture.embedding = span_of(*given.embedding);
      } else if (is_pixels(given)) {
        if (failure == nullptr && encoded.failures[next]) failure = &*encoded.failures[next];
        picture.embedding = std::as_const(encoded.rows).row(next++);
        picture.embedding_fingerprint = fingerprint;
      } else if (given.image && given.image->fault()) {
        if (failure == nullptr) failure = &*given.image->fault();
      } else if (given.image) {
        picture.bytes = given.image->bytes();
      }
      item.pictures.push_back(picture);
    }
    if (failure != nullptr) {
      failures.push_back({item.key, {}, failure->code(), failure->what()});
    } else {
      items.push_back(std::move(item));
    }
  }
  AddReport report = catalog.add(items, progress);
  report.encoded += static_cast<std::uint64_t>(
      std::ranges::count_if(encoded.failures, [](const auto& failure) { return !failure; }));
  for (AddFailure& failure : failures) report.failures.push_back(std::move(failure));
  return report;
}

py::tuple add(const OpenCatalog& self, const py::list& items, py::object progress) {
  const std::vector<ItemSource> sources = to_sources(items);
  LongCall call(std::move(progress));
  return from_report(run(call, self, [&](Catalog& catalog, const Progress& go_on) {
    return add_sources(catalog, sources, go_on);
  }));
}

py::list remove(const OpenCatalog& self, const py::list& keys) {
  std::vector<std::string> wanted;
  for (const py::handle key : keys) wanted.push_back(to_utf8(key, "key"));
  const auto missing = without_gil(self, [&](Catalog& catalog) { return catalog.remove(wanted); });
  return from_texts(missing);
}

py::list patch(const OpenCatalog& self, const py::list& patches) {
  std::vector<MetadataPatch> wanted;
  for (const py::handle given : patches) {
    const auto [key, changes] = given.cast<std::pair<py::object, py::object>>();
    wanted.push_back({to_utf8(key, "key"), to_utf8(changes, "changes")});
  }
  const auto missing = without_gil(self, [&](Catalog& catalog) { return catalog.patch(wanted); });
  return from_texts(missing);
}

// (key, metadata, pictures), a picture as (id, path, role, crop, content_hash, kept_bytes).
py::tuple from_record(const ItemRecord& record) {
  py::list pictures;
  for (const PictureInfo& picture : record.pictures) {
    pictures.append(py::make_tuple(picture.id, from_path(picture.path), picture.role,
                                   from_crop(picture.crop), picture.content_hash,
                                   picture.kept_bytes));
  }
  return py::make_tuple(record.key, record.metadata, pictures);
}

py::object get(const OpenCatalog& self, py::handle key) {
  const std::string wanted = to_utf8(key, "key");
  const auto record = without_gil(self, [&](Catalog& catalog) { return catalog.get(wanted); });
  if (!record) return py::none();
  return from_record(*record);
}

// The items with these keys; those that are not there are left out.
py::list get_many(const OpenCatalog& self, const py::list& keys) {
  std::vector<std::string> wanted;
  for (const py::handle key : keys) wanted.push_back(to_utf8(key, "key"));
  const auto records = without_gil(self, [&](Catalog& catalog) {
    std::vector<ItemRecord> found;
    for (const std::string& key : wanted) {
      if (std::optional<ItemRecord> record = catalog.get(key)) found.push_back(*std::move(record));
    }
    return found;
  });
  py::list result;
  for (const ItemRecord& record : records) result.append(from_record(record));
  return result;
}

py::list keys(const OpenCatalog& self) {
  const auto found = without_gil(self, [](Catalog& catalog) { return catalog.keys(); });
  return from_texts(found);
}

py::dict info(const OpenCatalog& self) {
  using py::literals::operator""_a;
  const CatalogInfo info = without_gil(self, [](Catalog& catalog) { return catalog.info(); });
  return py::dict(
      "path"_a = from_path(info.path.string()), "encoder"_a = from_path(info.encoder),
      "encoder_name"_a = info.encoder_name, "encoder_fingerprint"_a = info.encoder_fingerprint,
      "dim"_a = info.dim, "metric"_a = metric_name(info.metric), "items"_a = info.items,
      "pictures"_a = info.pictures, "generation"_a = info.generation,
      "snapshot_generation"_a = info.snapshot_generation, "disk_bytes"_a = info.disk_bytes,
      "index_removed"_a = info.index.removed, "index_memory_bytes"_a = info.index.memory_bytes);
}

QueryOptions to_query_options(std::uint32_t k, std::uint32_t breadth, py::handle where,
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

// Exactly one of image, like, text and vector is not None.
py::list search(const OpenCatalog& self, py::handle image, py::handle like, py::handle text,
                py::handle vector, std::uint32_t k, std::uint32_t breadth, py::handle where,
                bool where_is_json, bool exact) {
  const QueryOptions options = to_query_options(k, breadth, where, where_is_json, exact);
  std::vector<Hit> hits;
  if (!like.is_none()) {
    const Query query = Query::like(to_utf8(like, "like"));
    hits = without_gil(self, [&](Catalog& c) { return Searcher(c).search(query, options); });
  } else if (!text.is_none()) {
    const Query query = Query::text(to_utf8(text, "text"));
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
    result.append(py::make_tuple(hit.key, hit.score, hit.distance, from_path(hit.path),
                                 hit.metadata, hit.role));
  }
  return result;
}

}  // namespace

CropBox to_crop(py::handle crop) {
  const auto [left, top, right, bottom] = py::cast<std::tuple<float, float, float, float>>(crop);
  return {left, top, right, bottom};
}

py::tuple from_crop(const CropBox& crop) {
  return py::make_tuple(crop.left, crop.top, crop.right, crop.bottom);
}

Fetch to_fetch(py::object fetch) {
  if (fetch.is_none()) return {};
  const std::shared_ptr<py::object> callback = shared_callback(std::move(fetch));
  return [callback](const std::string& uri) {
    const py::gil_scoped_acquire gil;
    try {
      const py::object given = (*callback)(from_path(uri));
      const auto file = py::reinterpret_steal<py::bytes>(PyBytes_FromObject(given.ptr()));
      if (!file) throw py::error_already_set();
      const auto text = static_cast<std::string_view>(file);
      const auto bytes = std::as_bytes(std::span(text));
      return std::vector<std::byte>(bytes.begin(), bytes.end());
    } catch (const py::error_already_set& error) {
      // Ctrl-C is not the picture's fault: the long call hears of it.
      if (error.matches(PyExc_KeyboardInterrupt)) PyErr_SetInterrupt();
      const bool absent = error.matches(PyExc_FileNotFoundError);
      throw Error(absent ? ErrorCode::kFileNotFound : ErrorCode::kIo,
                  fmt::format("{}: fetching it failed: {}", uri, text_of(error)));
    }
  };
}

py::tuple from_report(const AddReport& report) {
  py::list failures;
  for (const AddFailure& failure : report.failures) failures.append(from_failure(failure));
  return py::make_tuple(report.added, report.replaced, report.encoded, failures);
}

void define_catalog(py::module_& module) {
  py::class_<OpenCatalog> catalog(module, "Catalog");
  catalog
      .def_static("create", &create, py::arg("path"), py::arg("encoder"), py::arg("log"),
                  py::arg("fetch"), py::arg("snapshot_changes"))
      .def_static("open", &open, py::arg("path"), py::arg("encoder").none(true), py::arg("log"),
                  py::arg("fetch"), py::arg("snapshot_changes"), py::arg("progress"))
      .def("close", &OpenCatalog::close)
      .def_property_readonly("closed", &OpenCatalog::closed)
      .def("add", &add, py::arg("items"), py::arg("progress"))
      .def("remove", &remove, py::arg("keys"))
      .def("patch", &patch, py::arg("patches"))
      .def("get", &get, py::arg("key"))
      .def("get_many", &get_many, py::arg("keys"))
      .def("keys", &keys)
      .def("info", &info)
      .def("search", &search, py::arg("image"), py::arg("like"), py::arg("text"), py::arg("vector"),
           py::arg("k"), py::arg("breadth"), py::arg("where"), py::arg("where_is_json"),
           py::arg("exact"));
  define_sync(catalog);
  define_editions(catalog);
  define_care(catalog);
}

}  // namespace vsearch::python

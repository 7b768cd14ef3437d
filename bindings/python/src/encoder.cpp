#include "vsearch/encoder.h"

#include <fmt/format.h>
#include <pybind11/stl.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert.h"
#include "encode.h"
#include "module.h"

namespace vsearch::python {
namespace {

LoadedEncoder load_named(py::handle name_or_path, bool cuda, std::uint32_t device_index,
                         const std::string& precision, std::optional<std::uint32_t> batch_size,
                         bool verify) {
  const std::string name =
      name_or_path.is_none() ? std::string(kDefaultEncoder) : to_path(name_or_path);
  EncoderOptions options;
  options.device = cuda ? Device::kCuda : Device::kCpu;
  options.device_index = device_index;
  const std::optional<Precision> wanted = find_precision(precision);
  if (!wanted) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "precision must be 'auto', 'fp32', 'bf16', 'fp16' or 'int8', not '" + precision + "'");
  }
  options.precision = *wanted;
  options.batch_size = batch_size;
  options.verify = verify;
  const py::gil_scoped_release no_gil;
  return {load_encoder(find_encoder(name), options), encoder_reference(name)};
}

const char* edge_name(ResizeEdge edge) {
  switch (edge) {
    case ResizeEdge::kShortest:
      return "shortest";
    case ResizeEdge::kStretch:
      return "stretch";
    case ResizeEdge::kNone:
      return "none";
  }
  return "unknown";
}

py::dict info_of(const LoadedEncoder& self) {
  using py::literals::operator""_a;
  const EncoderInfo& info = self.encoder->info();
  const Preprocessing& input = info.preprocessing;
  py::list fast_forms;
  for (const Precision form : info.fast_forms) fast_forms.append(py::str(precision_name(form)));
  return py::dict(
      "name"_a = info.name, "license"_a = info.license, "source"_a = info.source,
      "fingerprint"_a = info.fingerprint, "dim"_a = info.dim, "metric"_a = metric_name(info.metric),
      "token_dim"_a = info.token_dim, "has_text"_a = info.has_text,
      "precision"_a = py::str(precision_name(info.precision)), "fast_forms"_a = fast_forms,
      "preprocessing"_a =
          py::dict("width_px"_a = input.width_px, "height_px"_a = input.height_px,
                   "resize_edge"_a = edge_name(input.resize_edge),
                   "resize_width_px"_a = input.resize_width_px,
                   "resize_height_px"_a = input.resize_height_px,
                   "interpolation"_a =
                       input.interpolation == Interpolation::kBicubic ? "bicubic" : "bilinear",
                   "centre_crop"_a = input.centre_crop,
                   "mean"_a = py::make_tuple(input.mean[0], input.mean[1], input.mean[2]),
                   "stddev"_a = py::make_tuple(input.stddev[0], input.stddev[1], input.stddev[2]),
                   "colour_order"_a = input.colour_order == ColourOrder::kRgb ? "rgb" : "bgr"));
}

py::array_t<float> to_array(Matrix&& rows) {
  const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(rows.rows),
                                       static_cast<py::ssize_t>(rows.cols)};
  return to_numpy(std::move(rows.data), shape);
}

// The embeddings, and the failures as (index, number of the error, message).
py::tuple to_python(EncodedFiles&& encoded) {
  py::list failures;
  for (const EncodeFailure& failure : encoded.failures) {
    failures.append(py::make_tuple(failure.index, static_cast<int>(failure.error.code()),
                                   from_message(failure.error.what())));
  }
  return py::make_tuple(to_array(std::move(encoded.embeddings)), failures);
}

std::vector<PictureArgument> to_pictures(const py::list& images, std::size_t first, bool bgr,
                                         bool keep_going = false) {
  const ColourOrder channels = bgr ? ColourOrder::kBgr : ColourOrder::kRgb;
  std::vector<PictureArgument> pictures;
  pictures.reserve(images.size());
  for (const py::handle image : images) {
    const std::string name = fmt::format("images[{}]", first + pictures.size());
    try {
      pictures.emplace_back(image, name, channels);
    } catch (const Error& error) {
      if (!keep_going) throw;
      pictures.emplace_back(name, error);
    }
  }
  return pictures;
}

py::tuple encode(const LoadedEncoder& self, const py::list& images, std::size_t first, bool bgr,
                 bool exact, bool lenient, bool keep_going, py::object progress) {
  const std::vector<PictureArgument> pictures = to_pictures(images, first, bgr, keep_going);
  EncodeCall what;
  what.options.exact = exact;
  what.options.lenient = lenient;
  what.keep_going = keep_going;
  LongCall call(std::move(progress));
  return to_python(call.run([&](const Progress& report) {
    return encode_pictures(*self.encoder, pictures, what, report);
  }));
}

py::tuple encode_paths(const LoadedEncoder& self, const py::list& paths, bool exact, bool lenient,
                       py::object progress) {
  std::vector<std::filesystem::path> files;
  files.reserve(paths.size());
  for (const py::handle path : paths) files.emplace_back(to_path(path));
  EncodeOptions options;
  options.exact = exact;
  options.lenient = lenient;
  LongCall call(std::move(progress));
  return to_python(call.run(
      [&](const Progress& report) { return encode_files(*self.encoder, files, options, report); }));
}

py::array_t<float> tokens(const LoadedEncoder& self, const py::list& images, bool bgr, bool exact) {
  const std::vector<PictureArgument> pictures = to_pictures(images, 0, bgr);
  LongCall call{py::none()};
  Tokens result = call.run([&](const Progress& report) {
    return encode_tokens(*self.encoder, pictures, exact, report);
  });
  return to_numpy(std::move(result.values), {static_cast<py::ssize_t>(pictures.size()),
                                             static_cast<py::ssize_t>(result.per_picture),
                                             static_cast<py::ssize_t>(result.dim)});
}

py::array_t<float> text(const LoadedEncoder& self, const py::list& texts) {
  std::vector<std::string> wanted;
  for (const py::handle value : texts) {
    wanted.push_back(to_utf8(value, fmt::format("texts[{}]", wanted.size())));
  }
  LongCall call{py::none()};
  return to_array(call.run(
      [&](const Progress& report) { return encode_texts(*self.encoder, wanted, report); }));
}

}  // namespace

void define_encoder(py::module_& module) {
  py::class_<LoadedEncoder>(module, "Encoder")
      .def(py::init(&load_named), py::arg("name_or_path"), py::arg("cuda"), py::arg("device_index"),
           py::arg("precision"), py::arg("batch_size"), py::arg("verify"))
      .def_property_readonly("dim",
                             [](const LoadedEncoder& self) { return self.encoder->info().dim; })
      .def("info", &info_of)
      .def("encode", &encode, py::arg("images"), py::arg("first"), py::arg("bgr"), py::arg("exact"),
           py::arg("lenient"), py::arg("keep_going"), py::arg("progress"))
      .def("encode_files", &encode_paths, py::arg("paths"), py::arg("exact"), py::arg("lenient"),
           py::arg("progress"))
      .def("encode_tokens", &tokens, py::arg("images"), py::arg("bgr"), py::arg("exact"))
      .def("encode_text", &text, py::arg("texts"));
}

}  // namespace vsearch::python

#include "vsearch/encoder.h"

#include <pybind11/stl.h>

#include <optional>
#include <utility>

#include "convert.h"
#include "module.h"

namespace vsearch::python {
namespace {

LoadedEncoder load(py::handle name_or_path, bool cuda, std::uint32_t device_index,
                   std::optional<std::uint32_t> batch_size, bool verify) {
  const std::string name =
      name_or_path.is_none() ? std::string(kDefaultEncoder) : to_path(name_or_path);
  EncoderOptions options;
  options.device = cuda ? Device::kCuda : Device::kCpu;
  options.device_index = device_index;
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

py::dict info(const LoadedEncoder& self) {
  using py::literals::operator""_a;
  const EncoderInfo& info = self.encoder->info();
  const Preprocessing& input = info.preprocessing;
  return py::dict(
      "name"_a = info.name, "license"_a = info.license, "source"_a = info.source,
      "fingerprint"_a = info.fingerprint, "dim"_a = info.dim, "metric"_a = metric_name(info.metric),
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

py::array_t<float> encode_images(const LoadedEncoder& self, const py::list& images,
                                 py::object progress) {
  const std::vector<PictureArgument> pictures = to_pictures(images, "images");
  LongCall call(std::move(progress));
  Matrix rows =
      call.run([&](const Progress& report) { return encode(*self.encoder, pictures, report); });
  return to_numpy(std::move(rows.data),
                  {static_cast<py::ssize_t>(rows.rows), static_cast<py::ssize_t>(rows.cols)});
}

}  // namespace

void define_encoder(py::module_& module) {
  py::class_<LoadedEncoder>(module, "Encoder")
      .def(py::init(&load), py::arg("name_or_path"), py::arg("cuda"), py::arg("device_index"),
           py::arg("batch_size"), py::arg("verify"))
      .def_property_readonly("dim",
                             [](const LoadedEncoder& self) { return self.encoder->info().dim; })
      .def("info", &info)
      .def("encode", &encode_images, py::arg("images"), py::arg("progress"));
}

}  // namespace vsearch::python

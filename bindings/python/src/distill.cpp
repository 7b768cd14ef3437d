// Distillation, for Python.
#include "vsearch/distillation.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "convert.h"
#include "given_options.h"
#include "module.h"
#include "vsearch/encoder.h"

namespace vsearch::python {
namespace {

DistillOptions to_distill_options(const py::dict& given) {
  const GivenOptions options(given);
  DistillOptions how;
  options.take("cosine", how.cosine);
  options.take("relational", how.relational);
  options.take("held_out", how.held_out);
  options.take("epochs", how.epochs);
  options.take("batch_size", how.batch_size);
  options.take("rate", how.rate);
  options.take("weight_decay", how.weight_decay);
  options.take("warm_up", how.warm_up);
  options.take("clip_gradients", how.clip_gradients);
  take_step_options(options, how.augmentation, how.precision, how.device, how.device_index);
  options.take("seed", how.seed);
  options.take_path("work", how.work);
  return how;
}

// The report as JSON.
std::string distill_model(py::handle teacher, const std::string& student,
                          const std::vector<const Dataset*>& datasets, const py::list& paths,
                          py::handle output, const py::dict& given, const py::object& progress) {
  const DistillOptions options = to_distill_options(given);
  const std::string name = to_path(teacher);
  const std::string file = to_path(output);
  std::vector<Dataset> pictures;
  for (const Dataset* const dataset : datasets) pictures.push_back(*dataset);
  std::vector<std::filesystem::path> places;
  for (const py::handle path : paths) places.emplace_back(to_path(path));
  LongCall call{py::none()};
  return call.run([&](const Progress& go_on) {
    if (!places.empty()) pictures.push_back(pictures_at(places));
    return to_json(distill(find_encoder(name), student, pictures, file, options,
                           to_train_progress(call, go_on, progress)));
  });
}

}  // namespace

void define_distill(py::module_& module) {
  module.def("distill", [](py::handle teacher, const std::string& student,
                           const std::vector<const Dataset*>& datasets, const py::list& paths,
                           py::handle output, const py::dict& options, const py::object& progress) {
    return from_message(
        distill_model(teacher, student, datasets, paths, output, options, progress));
  });
}

}  // namespace vsearch::python

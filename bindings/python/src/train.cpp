// Training, for Python.
#include "vsearch/trainer.h"

#include <string>
#include <utility>
#include <vector>

#include "convert.h"
#include "given_options.h"
#include "module.h"
#include "open_catalog.h"
#include "vsearch/encoder.h"
#include "vsearch/text_trainer.h"

namespace vsearch::python {
namespace {

TrainOptions to_train_options(const py::dict& given) {
  const GivenOptions options(given);
  TrainOptions how;
  options.take_name("depth", how.depth, find_depth, "'head', 'partial' or 'full'");
  options.take_name("loss", how.loss, find_loss,
                    "'arcface', 'subcentre', 'cosface', 'normsoftmax', 'proxyanchor', 'supcon', "
                    "'triplet' or 'multisimilarity'");
  options.take("margin", how.margin);
  options.take("scale", how.scale);
  options.take("sub_centres", how.sub_centres);
  options.take("label_fields", how.label_fields);
  options.take("split", how.split);
  options.take("held_out_classes", how.held_out_classes);
  options.take("epochs", how.epochs);
  options.take("batch_size", how.batch_size);
  options.take("rate", how.rate);
  options.take("head_rate", how.head_rate);
  options.take("weight_decay", how.weight_decay);
  options.take("layer_decay", how.layer_decay);
  options.take("warm_up", how.warm_up);
  options.take("clip_gradients", how.clip_gradients);
  options.take_name("optimiser", how.optimiser, find_optimiser, "'adamw' or 'sgd'");
  options.take("accumulate", how.accumulate);
  options.take("mean_decay", how.mean_decay);
  options.take("blocks", how.blocks);
  options.take("lora_rank", how.lora_rank);
  options.take("cut_mix", how.cut_mix);
  options.take("per_class", how.per_class);
  options.take("balance_classes", how.balance_classes);
  options.take("balance_field", how.balance_field);
  options.take("batch_field", how.batch_field);
  options.take("in_turn", how.in_turn);
  options.take("own_classifiers", how.own_classifiers);
  options.take_name("head", how.head, find_head, "'learned', 'lda', 'pca' or 'pca-whitening'");
  options.take("hidden", how.hidden);
  options.take("dim", how.dim);
  take_step_options(options, how.augmentation, how.precision, how.device, how.device_index);
  options.take("keep_start", how.keep_start);
  options.take("mix_with_start", how.mix_with_start);
  options.take("patience", how.patience);
  options.take("seed", how.seed);
  options.take_path("work", how.work);
  options.take_path("cache", how.cache);
  return how;
}

TextTrainOptions to_text_options(const py::dict& given) {
  const GivenOptions options(given);
  TextTrainOptions how;
  options.take("fields", how.fields);
  std::filesystem::path model;
  options.take_path("model", model);
  if (!model.empty()) how.model = find_encoder(model.string());
  options.take_path("sentence", how.sentence);
  options.take("held_out", how.held_out);
  options.take("epochs", how.epochs);
  options.take("batch_size", how.batch_size);
  options.take("rate", how.rate);
  options.take("weight_decay", how.weight_decay);
  options.take("width", how.width);
  options.take("most_pieces", how.most_pieces);
  options.take("patience", how.patience);
  options.take("seed", how.seed);
  return how;
}

// The report as JSON.
std::string train_words(const OpenCatalog& catalog, py::handle output, const py::dict& given,
                        py::object progress) {
  const TextTrainOptions options = to_text_options(given);
  const std::string file = to_path(output);
  const bool is_told = !progress.is_none();
  LongCall call{py::none()};
  return run(call, catalog, [&](const Catalog& open, const Progress& go_on) {
    return to_json(train_text(open, file, options, [&](const TextTrainState& state) {
      if (!go_on(state.step, state.steps)) return false;
      return !is_told || call.ask([&]() -> py::object {
        return progress(state.epoch, state.epochs, state.step, state.steps, state.loss,
                        state.seconds_left);
      });
    }));
  });
}

// The report as JSON.
std::string train_model(py::handle model, const Dataset& dataset, py::handle output,
                        const py::dict& given, const std::vector<const Dataset*>& keep_apart,
                        py::object progress) {
  TrainOptions options = to_train_options(given);
  for (const Dataset* const other : keep_apart) options.keep_apart.push_back(*other);
  const std::string name = model.is_none() ? std::string(kDefaultEncoder) : to_path(model);
  const std::string file = to_path(output);
  LongCall call{py::none()};
  return call.run([&](const Progress& go_on) {
    const TrainProgress told = to_train_progress(call, go_on, progress);
    return to_json(train(find_encoder(name), dataset, file, options, told));
  });
}

}  // namespace

void define_train(py::module_& module) {
  module.def("train_text", [](const OpenCatalog& catalog, py::handle output,
                              const py::dict& options, py::object progress) {
    return from_message(train_words(catalog, output, options, std::move(progress)));
  });
  module.def("train", [](py::handle model, const Dataset& dataset, py::handle output,
                         const py::dict& options, const std::vector<const Dataset*>& keep_apart,
                         py::object progress) {
    return from_message(
        train_model(model, dataset, output, options, keep_apart, std::move(progress)));
  });
}

}  // namespace vsearch::python

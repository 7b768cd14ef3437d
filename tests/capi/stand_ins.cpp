// Encoders without networks behind the C interface, so that its tests need neither torch nor a
// model: load_encoder() by the name of the file. And training that learns nothing, but tells in its
// report what it was asked for.
#include <cmath>
#include <memory>

#include "support/fake_encoder.h"
#include "support/other_encoder.h"
#include "vsearch/distillation.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/text_trainer.h"
#include "vsearch/trainer.h"

namespace vsearch {

std::shared_ptr<Encoder> load_encoder(const std::filesystem::path& path, const EncoderOptions&) {
  if (path.filename() == "grid.vsm.pt") return std::make_shared<vsearch_test::FakeEncoder>();
  if (path.filename() == "other.vsm.pt") return std::make_shared<vsearch_test::OtherEncoder>();
  throw Error(ErrorCode::kBadModel, path.string() + ": no stand-in has this name");
}

TrainReport train(const std::filesystem::path& model, const Dataset& dataset,
                  const std::filesystem::path& output, const TrainOptions& options,
                  const TrainProgress& progress) {
  if (model == output) {
    throw Error(ErrorCode::kInvalidArgument, output.string() + ": would replace its start");
  }
  TrainReport report;
  report.depth = options.depth;
  report.loss = options.loss;
  report.package = output;
  report.data.pictures = dataset.pictures.size();
  report.data.classes = dataset.classes.size();
  for (const Dataset& other : options.keep_apart) report.data.held_out += other.pictures.size();
  const std::uint32_t epochs = options.epochs.value_or(2);
  for (std::uint32_t epoch = 1; epoch <= epochs && report.stopped.empty(); ++epoch) {
    if (progress && !progress({epoch, epochs, 3, 4, 0.5, 60.0})) report.stopped = "asked to stop";
    report.epochs.push_back({epoch, options.rate.value_or(0.25), options.head_rate.value_or(0.125),
                             options.warm_up, options.augmentation.erase, std::nan(""),
                             options.mix_with_start ? 1.0 : 0.0});
  }
  return report;
}

TextTrainReport train_text(const Catalog& catalog, const std::filesystem::path& output,
                           const TextTrainOptions& options, const TextTrainProgress& progress) {
  TextTrainReport report;
  report.package = output;
  report.pairs = catalog.info().items;
  report.texts = options.fields.size();
  report.pieces = options.most_pieces;
  report.fingerprint = options.model.string();
  for (std::uint32_t epoch = 1; epoch <= options.epochs && report.stopped.empty(); ++epoch) {
    if (progress && !progress({epoch, options.epochs, 3, 4, 0.5, 60.0})) {
      report.stopped = "asked to stop";
    }
    report.epochs.push_back(
        {epoch, options.rate, options.weight_decay, options.held_out, std::nan(""), 0});
  }
  return report;
}

DistillReport distill(const std::filesystem::path& teacher, std::string_view student,
                      const std::vector<Dataset>& pictures, const std::filesystem::path& output,
                      const DistillOptions& options, const TrainProgress& progress) {
  if (teacher == output) {
    throw Error(ErrorCode::kInvalidArgument, output.string() + ": would replace the teacher");
  }
  DistillReport report;
  report.start = student;
  report.package = output;
  for (const Dataset& dataset : pictures) report.pictures += dataset.pictures.size();
  report.held_out = options.seed;
  for (std::uint32_t epoch = 1; epoch <= options.epochs && report.stopped.empty(); ++epoch) {
    if (progress && !progress({epoch, options.epochs, 3, 4, 0.5, 60.0})) {
      report.stopped = "asked to stop";
    }
    report.epochs.push_back({epoch, options.relational, options.rate.value_or(0.25),
                             options.warm_up, options.augmentation.erase,
                             options.cosine.value_or(std::nan("")), options.held_out});
  }
  return report;
}

}  // namespace vsearch

// train(): from a package and labelled pictures to a package.
#include "vsearch/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "encoder/manifest.h"
#include "encoder/torch_archive.h"
#include "encoder/torch_error.h"
#include "eval/embedding_cache.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/grouped_sampler.h"
#include "train/head_maps.h"
#include "train/head_training.h"
#include "train/measured_part.h"
#include "train/network_training.h"
#include "train/recipe.h"
#include "train/tensors.h"
#include "train/text_alignment.h"
#include "train/training_set.h"
#include "train/tuned_package.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

using training::TrainingSet;

std::string tuning_of(const Dataset& dataset, const TrainOptions& options,
                      const training::Recipe& recipe, const TrainReport& report) {
  return nlohmann::json{{"start", report.start_fingerprint},
                        {"dataset", dataset.name},
                        {"pictures", report.data.pictures},
                        {"classes", report.data.classes},
                        {"depth", depth_name(options.depth)},
                        {"head", head_name(options.head)},
                        {"lora_rank", options.lora_rank},
                        {"loss", loss_name(options.loss)},
                        {"margin", recipe.margin},
                        {"scale", recipe.scale},
                        {"epoch", report.best_epoch},
                        {"mixture", report.mixture},
                        {"seed", options.seed}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Every picture of the data set by the start model: those in no set are not encoded.
DatasetEmbeddings embed(const Encoder& encoder, const Dataset& dataset, const TrainingSet& set,
                        const EvaluationOptions& evaluation) {
  std::vector<std::uint32_t> numbers = set.pictures;
  numbers.insert(numbers.end(), set.held_out.begin(), set.held_out.end());
  std::ranges::sort(numbers);
  const DatasetEmbeddings found =
      embed_dataset(encoder, training::part_of(dataset, numbers), evaluation);
  DatasetEmbeddings all;
  all.rows = Matrix(dataset.pictures.size(), encoder.info().dim);
  std::ranges::fill(all.rows.data, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    std::ranges::copy(found.rows.row(i), all.rows.row(numbers[i]).begin());
  }
  return all;
}

// Keeps what the tuned model gives for pictures whose embeddings by its start are known, so that
// measuring it needs no encoding. `keys` are those that the pictures had when they were encoded.
void keep_tuned(const training::Head& head, const std::string& fingerprint,
                const std::vector<eval::PictureKey>& keys, const Matrix& by_start,
                const EvaluationOptions& evaluation) {
  constexpr std::size_t kAtOnce = 16'384;
  const at::NoGradGuard no_gradients;
  Matrix tuned(by_start.rows, static_cast<std::size_t>(head.weight.size(0)));
  for (std::size_t begin = 0; begin < by_start.rows; begin += kAtOnce) {
    const MatrixView some{by_start.row(begin).data(), std::min(kAtOnce, by_start.rows - begin),
                          by_start.cols};
    const at::Tensor rows = training::apply_head(head, training::borrowed(some)).contiguous();
    std::copy_n(rows.const_data_ptr<float>(), rows.numel(), tuned.row(begin).begin());
  }
  eval::keep_embeddings(
      evaluation.cache,
      eval::name_in_cache(fingerprint, Precision::kFloat32, evaluation.exact_decoding), keys,
      tuned);
}

}  // namespace

TrainReport train(const std::filesystem::path& model, const Dataset& dataset,
                  const std::filesystem::path& output, const TrainOptions& options,
                  const TrainProgress& progress) {
  const auto began = std::chrono::steady_clock::now();
  const training::Recipe recipe = training::make_recipe(options);
  training::check_output(model, output);
  TrainingSet set = training::choose_pictures(dataset, options);
  training::group_pictures(set, dataset, options);

  training::check_writable(output);
  const training::WorkFolder work(options.depth == TrainDepth::kHead ? "" : options.work);
  EncoderOptions encoder_options;
  // What is learned is behind exact embeddings, and the same on every machine.
  encoder_options.precision = Precision::kFloat32;
  encoder_options.device = options.device;
  encoder_options.device_index = options.device_index;
  const std::shared_ptr<Encoder> encoder = load_encoder(model, encoder_options);
  const encoder::Archive archive = encoder::open_archive(model);
  if (archive.manifest.empty()) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: a TorchScript file without {}; {}", model.string(),
                            encoder::kManifestFile, encoder::kExportRemedy));
  }

  // What can be known before hours of encoding.
  training::check_network(archive, options, model.string(), encoder->info().has_text);
  training::check_head_dim(options, encoder->info().dim, set.classes.size());
  training::make_loss(
      training::loss_settings(options, recipe, set.classes.size(), encoder->info().dim));
  training::GroupedSampler(set.labels, set.groups, options.in_turn,
                           training::sampler_settings(set, options, recipe));

  TrainReport report;
  report.depth = options.depth;
  report.head = options.head;
  report.loss = options.loss;
  report.start_fingerprint = encoder->info().fingerprint;
  report.package = output;
  EvaluationOptions evaluation;
  evaluation.cache = options.cache;
  TrainProgress learning;
  if (progress) {
    evaluation.progress = [&](std::uint64_t done, std::uint64_t total) {
      TrainState state;
      state.epochs = recipe.epochs;
      state.step = done;
      state.steps = total;
      return progress(state);
    };
    learning = [&](const TrainState& step) {
      TrainState state = step;
      state.data = &report.data;
      return progress(state);
    };
  }
  const bool keeps_tuned = options.depth == TrainDepth::kHead && !evaluation.cache.empty();
  const auto keys_of = [&](const Dataset& pictures) {
    return keeps_tuned ? eval::keys_of_pictures(pictures) : std::vector<eval::PictureKey>();
  };
  const std::vector<eval::PictureKey> keys = keys_of(dataset);
  const DatasetEmbeddings embeddings = embed(*encoder, dataset, set, evaluation);
  training::drop_unreadable(set, dataset, embeddings);
  const Dataset own = training::kept_apart_part(dataset, options);
  std::vector<const Dataset*> kept_apart;
  if (!own.pictures.empty()) kept_apart.push_back(&own);
  for (const Dataset& other : options.keep_apart) kept_apart.push_back(&other);
  std::vector<DatasetEmbeddings> others;
  std::vector<std::vector<eval::PictureKey>> keys_of_others;
  std::vector<training::Measured> measured;
  others.reserve(kept_apart.size());
  for (const Dataset* const other : kept_apart) {
    std::vector<eval::PictureKey> keys_of_other = keys_of(*other);
    try {
      others.push_back(embed_dataset(*encoder, *other, evaluation));
    } catch (const Error& error) {
      // Who has no picture of the data set's other splits may learn from this one.
      if (other != &own || error.code() != ErrorCode::kBadImage) throw;
      continue;
    }
    keys_of_others.push_back(std::move(keys_of_other));
    measured.push_back({other, &others.back().rows});
  }
  auto leaks = training::drop_leaks(set, dataset, embeddings.rows, measured);
  training::group_pictures(set, dataset, options);  // of those that are left
  report.data = training::describe(set, embeddings.rows);
  training::check_head_dim(options, encoder->info().dim, report.data.classes);
  report.data.leak_count = leaks.size();
  if (leaks.size() > training::kListed) leaks.resize(training::kListed);
  report.data.leaks = std::move(leaks);
  const auto path_of = [&dataset](std::uint32_t picture) {
    return (dataset.root / dataset.pictures[picture].path).string();
  };
  for (auto& suspect : report.data.suspects) suspect.path = path_of(suspect.picture);
  for (auto& leak : report.data.leaks) leak.path = path_of(leak.picture);

  training::TunedModel tuned;
  if (options.depth == TrainDepth::kHead) {
    tuned.network = archive.module;
    tuned.head = encoder::run_torch(ErrorCode::kInternal, model.string() + ": learning a head",
                                    {"please report this", training::kTrainingMemoryRemedy}, [&] {
                                      return training::train_head(set, embeddings.rows, options,
                                                                  recipe, learning, report);
                                    });
  } else {
    tuned.network = training::train_network(archive, encoder->info(), model.string(), dataset, set,
                                            embeddings.rows, options, recipe, learning, report);
    if (encoder->info().has_text) {
      try {
        tuned.text_map = encoder::run_torch(
            ErrorCode::kBadModel, model.string() + ": taking words along",
            {encoder::kExportRemedy, training::kTrainingMemoryRemedy}, [&] {
              return training::align_words(archive.module, tuned.network, encoder->info(),
                                           model.string(), dataset, set, embeddings.rows, options,
                                           evaluation.progress, report);
            });
      } catch (const Error& error) {
        report.words = {};  // what was learned is not lost for it
        report.words.unmoved = error.what();
      }
    }
  }
  tuned.name = output.stem().stem().string();
  tuned.tuning = tuning_of(dataset, options, recipe, report);
  training::WrittenPackage written = training::write_package(archive, tuned, output);
  report.fingerprint = std::move(written.fingerprint);
  report.dropped_forms = std::move(written.dropped_forms);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (!keeps_tuned) return report;
  try {
    keep_tuned(*tuned.head, report.fingerprint, keys, embeddings.rows, evaluation);
    for (std::size_t i = 0; i < others.size(); ++i) {
      keep_tuned(*tuned.head, report.fingerprint, keys_of_others[i], others[i].rows, evaluation);
    }
  } catch (const std::exception&) {
    // The package is written, which is what was asked for. Whoever measures it encodes, and is told
    // what is wrong with the cache.
  }
  return report;
}

}  // namespace vsearch

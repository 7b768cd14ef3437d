#include "train/network_training.h"

#include <fmt/format.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <cmath>
#include <utility>

#include "encoder/torch_autocast.h"
#include "encoder/torch_encoder.h"
#include "encoder/torch_error.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/cut_mix.h"
#include "train/grouped_sampler.h"
#include "train/held_out.h"
#include "train/losses.h"
#include "train/low_rank.h"
#include "train/sampler.h"
#include "train/step_network.h"
#include "train/tensors.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

// So many pictures are measured with after each epoch.
constexpr std::size_t kMeasuredEachEpoch = 1000;
constexpr double kMixtures[] = {0.25, 0.5, 0.75};

class NetworkTraining {
 public:
  NetworkTraining(const encoder::Archive& start, const EncoderInfo& info, std::string path,
                  const Dataset& dataset, const TrainingSet& set, const Matrix& embeddings,
                  const TrainOptions& options, const Recipe& recipe, const TrainProgress& progress,
                  TrainReport& report)
      : start_(start),
        info_(info),
        path_(std::move(path)),
        dataset_(dataset),
        set_(set),
        embeddings_(embeddings),
        options_(options),
        recipe_(recipe),
        progress_(progress),
        report_(report),
        device_(device_of(options.device, options.device_index)),
        is_half_(uses_bfloat16(options.precision, start.module, device_)),
        measured_(held_out_task(set, kMeasuredEachEpoch)),
        measured_pictures_(part_of(dataset, measured_.pictures)),
        network_(step_network(start.module, device_)) {}

  torch::jit::Module run() {
    prepare_loss();
    OptimisationSettings how;
    how.rate = recipe_.rate;
    how.weight_decay = options_.weight_decay;
    how.warm_up = options_.warm_up;
    how.clip_gradients = options_.clip_gradients;
    how.optimiser = options_.optimiser;
    how.accumulate = options_.accumulate;
    how.mean_decay = options_.mean_decay;
    weights_ = choose_parameters(network_, options_, path_, info_.has_text);
    const std::vector<at::Tensor> start_values = values_of(weights_);
    low_rank_ = std::make_unique<LowRank>(network_, weights_, options_.lora_rank,
                                          recipe_.plain_rate / recipe_.rate, options_.seed);
    optimisation_ = std::make_unique<Optimisation>(low_rank_->learned(), how, loss_->parameters(),
                                                   recipe_.head_rate);
    const GroupedSampler sampler(set_.labels, set_.groups, options_.in_turn,
                                 sampler_settings(set_, options_, recipe_));
    if (options_.own_classifiers) {
      among_ =
          class_masks(sampler.classes(), static_cast<std::int64_t>(set_.classes.size()), device_);
    }
    BatchSettings batches;
    batches.augmentation = options_.augmentation;
    batches.seed = options_.seed;
    batches.memory_remedy = kTrainingMemoryRemedy;
    BatchLoader loader({&dataset_, set_.pictures, set_.labels}, info_.preprocessing, batches);

    Checkpoint checkpoint(options_.work, checkpoint_key());
    CheckpointState state = checkpoint_state();
    std::uint32_t epoch = 1;
    if (checkpoint.load(state)) {
      restore(state);
      epoch = report_.epochs.back().epoch + 1;
      best_map_ = report_.epochs[report_.best_epoch].held_out_map;
    } else {
      measure({});
    }
    for (; epoch <= recipe_.epochs; ++epoch) {
      if (is_out_of_patience(epoch)) {
        report_.stopped = fmt::format("no better in {} epochs", options_.patience);
        break;
      }
      if (!learn(epoch, sampler, loader)) break;
      note_epochs(state);
      checkpoint.save(state);
    }
    report_.lost = loader.lost();
    set_values(optimisation_->parameters(), best_values_);
    low_rank_->settle();
    if (options_.mix_with_start) mix(start_values);
    report_.held_out_map = measured_.queries == 0 ? std::nan("") : best_map_;
    return with_parameters_of(start_.module, network_);
  }

 private:
  void prepare_loss() {
    LossSettings settings = loss_settings(options_, recipe_, set_.classes.size(), info_.dim);
    settings.device = device_;
    loss_ = make_loss(settings);
    start_at_means(*loss_, rows_of(embeddings_, set_.pictures).to(device_),
                   tensor_of(set_.labels).to(device_), settings.classes);
  }

  bool learn(std::uint32_t epoch, const GroupedSampler& sampler, BatchLoader& loader) {
    std::vector<std::vector<std::uint32_t>> batches;
    std::vector<std::size_t> groups;
    for (GroupBatch& drawn : sampler.epoch(epoch)) {
      batches.push_back(std::move(drawn.rows));
      groups.push_back(drawn.group);
    }
    EpochOutcome outcome = run_epoch(
        epoch, recipe_.epochs, std::move(batches), loader, *optimisation_,
        [&](const Batch& batch, std::size_t step) {
          return take_step(batch, among_.empty() ? at::Tensor() : among_[groups[step]],
                           derived_seed(derived_seed(options_.seed, epoch), step));
        },
        progress_);
    if (!outcome.stopped.empty()) {
      report_.stopped = std::move(outcome.stopped);
      return false;
    }
    try {
      measure(
          {epoch, outcome.loss, outcome.rate, outcome.seconds, outcome.pictures_per_second, 0, 0});
    } catch (const Error& error) {
      report_.stopped = end_of_measuring(epoch, error);
      if (report_.stopped.empty()) throw;
      return false;
    }
    return true;
  }

  double take_step(const Batch& batch, const at::Tensor& among, std::uint64_t seed) {
    return encoder::run_torch(
        ErrorCode::kBadModel, path_ + ": a training step",
        {encoder::kExportRemedy, kTrainingMemoryRemedy}, [&] {
          // Optimising the graph for gradients takes long and gains nothing: its operators are
          // large.
          const torch::jit::GraphOptimizerEnabledGuard as_written(false);
          const auto mixed = cut_mix(batch, options_.cut_mix, seed);
          const at::Tensor pixels = (mixed ? mixed->pixels : batch.pixels).to(device_);
          const at::Tensor labels = batch.labels.to(device_);
          low_rank_->attach();
          at::Tensor loss;
          {
            const encoder::HalfPrecision half(is_half_, device_);
            const at::Tensor embeddings = encode(network_, pixels);
            loss = loss_->compute(embeddings, labels, among);
            if (mixed) {
              const at::Tensor others =
                  loss_->compute(embeddings, mixed->others.to(device_), among);
              loss = loss.lerp(others, 1 - mixed->own_share);
            }
            if (options_.keep_start > 0) {
              at::Tensor before;
              {
                const at::NoGradGuard no_gradients;
                before = encode(start_on_device(), pixels);
              }
              loss = loss + options_.keep_start * cosine_distillation(embeddings, before);
            }
          }
          return optimisation_->step(loss);
        });
  }

  at::Tensor encode(const torch::jit::Module& network, const at::Tensor& pixels) const {
    return network.get_method("encode_image")({pixels}).toTensor();
  }

  const torch::jit::Module& start_on_device() {
    if (!start_network_) start_network_ = step_network(start_.module, device_);
    return *start_network_;
  }

  HeldOutScore score() const {
    if (measured_.queries == 0) return {std::nan(""), std::nan("")};
    // In a step's precision: in float32 this would take a third of the time.
    const auto encoder = encoder_of(network_, info_, device_, path_, is_half_);
    try {
      const DatasetEmbeddings embeddings = embed_dataset(*encoder, measured_pictures_);
      const auto [task, rows] = finite_part(measured_, embeddings.rows.view());
      return score_held_out(task, rows.view());
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kOutOfMemory) throw;
      // Its remedy is for those who encode; the memory is the training's.
      throw Error(error.code(), fmt::format("{}: not enough memory to measure what is held out; {}",
                                            path_, kTrainingMemoryRemedy));
    }
  }

  // Where weights have running means it is these that are measured, and kept.
  void measure(TrainEpoch entry) {
    optimisation_->swap_means();
    low_rank_->settle();
    measure_as_it_is(entry);
    optimisation_->swap_means();
  }

  void measure_as_it_is(TrainEpoch entry) {
    const HeldOutScore found = score();
    entry.held_out_map = found.map;
    entry.held_out_recall_at_1 = found.recall_at_1;
    report_.epochs.push_back(entry);
    // Without anything held out the last is the best.
    if (found.map <= best_map_ || (measured_.queries > 0 && std::isnan(found.map))) return;
    best_map_ = found.map;
    report_.best_epoch = entry.epoch;
    best_values_ = values_of(optimisation_->parameters());
  }

  bool is_out_of_patience(std::uint32_t epoch) const {
    return options_.patience > 0 && epoch - 1 - report_.best_epoch >= options_.patience;
  }

  // WiSE-FT: the weights on the way from the start to the best that find best.
  void mix(const std::vector<at::Tensor>& start) {
    if (measured_.queries == 0 || report_.best_epoch == 0) return;
    const std::vector<at::Tensor> tuned = values_of(weights_);
    std::vector<at::Tensor> best = tuned;
    for (const double mixture : kMixtures) {
      std::vector<at::Tensor> mixed;
      for (std::size_t i = 0; i < tuned.size(); ++i) {
        mixed.push_back(start[i].lerp(tuned[i], mixture));
      }
      set_values(weights_, mixed);
      double map = 0;
      try {
        map = score().map;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kBadImage) throw;
        break;  // what is held out is gone, as with a disk
      }
      if (map <= best_map_) continue;
      best_map_ = map;
      report_.mixture = mixture;
      best = std::move(mixed);
    }
    set_values(weights_, best);
  }

  // Everything that the weights after an epoch come from; patience and the mixture come later.
  std::string checkpoint_key() const {
    CheckpointKey key;
    key.add(info_.fingerprint, depth_name(options_.depth), options_.seed, is_half_,
            c10::DeviceTypeName(device_.type()));
    key.add(loss_name(options_.loss), recipe_.margin, recipe_.scale, options_.sub_centres,
            options_.keep_start);
    if (options_.cut_mix > 0) key.add("cut_mix", options_.cut_mix);
    key.add(options_.balance_field, options_.batch_field, options_.in_turn,
            options_.own_classifiers);
    key.add(optimiser_name(options_.optimiser), options_.accumulate, options_.mean_decay);
    key.add(recipe_.epochs, recipe_.batch_size, recipe_.per_class, options_.balance_classes,
            recipe_.rate, recipe_.head_rate, options_.weight_decay, options_.warm_up,
            options_.clip_gradients);
    key.add_changes(options_.augmentation);
    // The tuned blocks and their decay.
    for (const TunedParameter& parameter : optimisation_->parameters()) {
      key.add(parameter.name, parameter.value.numel(), parameter.rate_factor);
    }
    key.add(set_.classes.size(), set_.pictures.size(), set_.held_out_classes_are_new);
    for (std::size_t i = 0; i < set_.pictures.size(); ++i) {
      key.add_picture(dataset_, set_.pictures[i]);
      key.add(set_.classes[static_cast<std::size_t>(set_.labels[i])]);
    }
    for (const auto& values : {set_.groups, set_.balanced}) {
      key.add(values.size());
      for (const auto value : values) key.add(value);
    }
    for (std::size_t i = 0; i < set_.held_out.size(); ++i) {
      key.add_picture(dataset_, set_.held_out[i]);
      key.add(set_.held_out_labels[i]);
    }
    return key.text();
  }

  CheckpointState checkpoint_state() {
    CheckpointState state;
    for (const TunedParameter& parameter : optimisation_->parameters()) {
      state.values.push_back(parameter.value);
    }
    for (const at::Tensor& value : loss_->parameters()) state.values.push_back(value);
    for (const at::Tensor& value : optimisation_->means()) state.values.push_back(value);
    state.best = &best_values_;
    state.optimizer = &optimisation_->optimizer();
    return state;
  }

  void note_epochs(CheckpointState& state) const {
    state.epochs.clear();
    state.log.clear();
    for (const TrainEpoch& epoch : report_.epochs) {
      state.epochs.push_back({static_cast<double>(epoch.epoch), epoch.loss, epoch.rate,
                              epoch.seconds, epoch.pictures_per_second, epoch.held_out_map,
                              epoch.held_out_recall_at_1});
      state.log += to_json(epoch) + '\n';
    }
    state.best_epoch = report_.best_epoch;
  }

  void restore(const CheckpointState& state) const {
    for (const std::vector<double>& row : state.epochs) {
      report_.epochs.push_back({static_cast<std::uint32_t>(row.at(0)), row.at(1), row.at(2),
                                row.at(3), row.at(4), row.at(5), row.at(6)});
    }
    report_.best_epoch = state.best_epoch;
  }

  const encoder::Archive& start_;
  const EncoderInfo& info_;
  const std::string path_;
  const Dataset& dataset_;
  const TrainingSet& set_;
  const Matrix& embeddings_;
  const TrainOptions& options_;
  const Recipe& recipe_;
  const TrainProgress& progress_;
  TrainReport& report_;
  const at::Device device_;
  const bool is_half_;
  const HeldOutTask measured_;
  const Dataset measured_pictures_;
  torch::jit::Module network_;
  std::optional<torch::jit::Module> start_network_;
  std::vector<TunedParameter> weights_;  // of the network, that change
  std::unique_ptr<LowRank> low_rank_;
  std::vector<at::Tensor> best_values_;  // of what is learned
  double best_map_ = -1;
  std::unique_ptr<RetrievalLoss> loss_;
  std::vector<at::Tensor> among_;  // by group of the sampler; empty: all classes
  std::unique_ptr<Optimisation> optimisation_;
};

}  // namespace

std::unique_ptr<Encoder> encoder_of(const torch::jit::Module& network, const EncoderInfo& info,
                                    at::Device device, const std::string& path, bool is_half) {
  encoder::TorchModel model;
  model.path = path;
  model.info = info;
  model.info.token_dim = 0;
  model.info.has_text = false;
  model.info.precision = Precision::kFloat32;
  model.image = std::make_shared<const encoder::Network>(network, "encode_image", device,
                                                         at::kFloat, Precision::kFloat32, is_half);
  // Under autocast all weights become bfloat16 again for each batch.
  model.batch_size = device.is_cuda() || is_half ? 32 : 4;
  return std::make_unique<encoder::TorchEncoder>(std::move(model));
}

torch::jit::Module train_network(const encoder::Archive& start, const EncoderInfo& info,
                                 const std::string& path, const Dataset& dataset,
                                 const TrainingSet& set, const Matrix& embeddings,
                                 const TrainOptions& options, const Recipe& recipe,
                                 const TrainProgress& progress, TrainReport& report) {
  return encoder::run_torch(ErrorCode::kBadModel, path,
                            {encoder::kExportRemedy, kTrainingMemoryRemedy}, [&] {
                              return NetworkTraining(start, info, path, dataset, set, embeddings,
                                                     options, recipe, progress, report)
                                  .run();
                            });
}

}  // namespace vsearch::training

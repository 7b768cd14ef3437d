#include "train/distillation_run.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "encoder/torch_autocast.h"
#include "encoder/torch_error.h"
#include "train/agreement.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/losses.h"
#include "train/network_training.h"
#include "train/optimisation.h"
#include "train/sampler.h"
#include "train/step_network.h"
#include "train/training_set.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

constexpr char kDistillMemoryRemedy[] = "take a smaller batch, or a smaller student";

at::Tensor embeddings_of(const torch::jit::Module& network, const at::Tensor& pixels) {
  return network.get_method("encode_image")({pixels}).toTensor();
}

// The teacher as it computes in a step.
class StepTeacher {
 public:
  StepTeacher(const encoder::Archive& archive, const std::string& path, at::Device device,
              bool is_half)
      : is_half_(is_half), device_(device), network_(archive.module.clone()) {
    network_.to(device_);
    network_.eval();
    const auto fast = archive.fast.find(is_half ? Precision::kBFloat16 : Precision::kFloat32);
    if (!device_.is_cpu() || fast == archive.fast.end()) return;
    try {
      network_ = encoder::open_fast_form(fast->second, fast->first, archive.module, path);
      is_half_ = false;  // it is in that type by itself
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnavailable) throw;
    }
  }

  // On the device, with no gradient.
  at::Tensor encode(const at::Tensor& pixels) const {
    at::Tensor rows;
    {
      const c10::InferenceMode inference;
      const encoder::HalfPrecision half(is_half_, device_);
      rows = embeddings_of(network_, pixels);
    }
    return rows.clone();  // what comes of InferenceMode has no part in gradients
  }

 private:
  bool is_half_;
  at::Device device_;
  torch::jit::Module network_;
};

std::vector<TunedParameter> parameters_of(const torch::jit::Module& network,
                                          const std::string& name) {
  TrainOptions all;
  all.depth = TrainDepth::kFull;
  all.layer_decay = 1;
  constexpr bool kHasWords = false;  // they are lost
  return choose_parameters(network, all, name, kHasWords);
}

class Distillation {
 public:
  Distillation(const DistillRun& run, const DistillOptions& options, const TrainProgress& progress,
               DistillReport& report)
      : run_(run),
        options_(options),
        progress_(progress),
        report_(report),
        device_(device_of(options.device, options.device_index)),
        is_half_(uses_bfloat16(options.precision, run.student.module, device_)),
        held_out_(part_of(run.pictures, run.held_out)),
        teacher_(run.teacher, run.teacher_path, device_, is_half_),
        network_(step_network(run.student.module, device_)) {
    OptimisationSettings how;
    how.rate = run.rate;
    how.weight_decay = options.weight_decay;
    how.warm_up = options.warm_up;
    how.clip_gradients = options.clip_gradients;
    optimisation_ = std::make_unique<Optimisation>(parameters_of(network_, run.student_name), how);
  }

  torch::jit::Module run() {
    // Batches are drawn as of pictures that are a class each.
    std::vector<std::int32_t> labels(run_.learned.size());
    std::iota(labels.begin(), labels.end(), 0);
    SamplerSettings sampling;
    sampling.batch_size = options_.batch_size;
    sampling.seed = options_.seed;
    const BatchSampler sampler(labels, sampling);
    BatchSettings batches;
    batches.augmentation = options_.augmentation;
    batches.seed = options_.seed;
    batches.also = run_.teacher_info.preprocessing;
    batches.memory_remedy = kDistillMemoryRemedy;
    BatchLoader loader({&run_.pictures, run_.learned, labels}, run_.student_info.preprocessing,
                       batches);

    const Checkpoint checkpoint(options_.work, checkpoint_key());
    CheckpointState state;
    for (const TunedParameter& parameter : optimisation_->parameters()) {
      state.values.push_back(parameter.value);
    }
    state.best = &best_values_;
    state.optimizer = &optimisation_->optimizer();
    std::uint32_t epoch = 1;
    if (checkpoint.load(state)) {
      restore(state);
      epoch = report_.epochs.back().epoch + 1;
    } else {
      measure({});
    }
    for (; epoch <= options_.epochs; ++epoch) {
      EpochOutcome outcome = run_epoch(
          epoch, options_.epochs, sampler.epoch(epoch), loader, *optimisation_,
          [this](const Batch& batch, std::size_t) { return take_step(batch); }, progress_);
      if (!outcome.stopped.empty()) {
        report_.stopped = std::move(outcome.stopped);
        break;
      }
      try {
        measure({epoch, outcome.loss, outcome.rate, outcome.seconds, outcome.pictures_per_second});
      } catch (const Error& error) {
        report_.stopped = end_of_measuring(epoch, error);
        if (report_.stopped.empty()) throw;
        break;
      }
      note_epochs(state);
      checkpoint.save(state);
    }
    report_.lost = loader.lost();
    set_values(optimisation_->parameters(), best_values_);
    return with_parameters_of(run_.student.module, network_);
  }

 private:
  double take_step(const Batch& batch) {
    return encoder::run_torch(
        ErrorCode::kBadModel, run_.student_name + ": a step of learning",
        {encoder::kExportRemedy, kDistillMemoryRemedy}, [&] {
          // Optimising the graph for gradients takes long and gains nothing: its operators are
          // large.
          const torch::jit::GraphOptimizerEnabledGuard as_written(false);
          const at::Tensor taught = teacher_.encode(batch.also.to(device_));
          at::Tensor loss;
          {
            const encoder::HalfPrecision half(is_half_, device_);
            const at::Tensor learned = embeddings_of(network_, batch.pixels.to(device_));
            loss = options_.relational * relational_distillation(learned, taught);
            if (run_.cosine > 0) loss = loss + run_.cosine * cosine_distillation(learned, taught);
          }
          return optimisation_->step(loss);
        });
  }

  Agreement agreement() const {
    if (run_.held_out.size() < 2) return {std::nan(""), std::nan("")};
    const auto encoder =
        encoder_of(network_, run_.student_info, device_, run_.student_name, is_half_);
    try {
      const DatasetEmbeddings learned = embed_dataset(*encoder, held_out_);
      return agreement_of(run_.held_out_rows.view(), learned.rows.view());
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kOutOfMemory) throw;
      // Its remedy is for those who encode; the memory is the training's.
      throw Error(error.code(), fmt::format("{}: not enough memory to measure what is held out; {}",
                                            run_.student_name, kDistillMemoryRemedy));
    }
  }

  void measure(DistillEpoch entry) {
    const Agreement found = agreement();
    entry.held_out_cosine = found.cosine;
    entry.held_out_overlap_at_10 = found.overlap_at_10;
    report_.epochs.push_back(entry);
    // Without anything held out the last is the best.
    if (found.overlap_at_10 <= best_overlap_) return;
    best_overlap_ = found.overlap_at_10;
    report_.best_epoch = entry.epoch;
    best_values_ = values_of(optimisation_->parameters());
  }

  // Everything that the weights after an epoch come from.
  std::string checkpoint_key() const {
    CheckpointKey key;
    key.add("distillation", run_.teacher_info.fingerprint, run_.student_info.fingerprint,
            options_.seed, is_half_, c10::DeviceTypeName(device_.type()));
    key.add(run_.cosine, options_.relational, options_.epochs, options_.batch_size, run_.rate,
            options_.weight_decay, options_.warm_up, options_.clip_gradients);
    key.add_changes(options_.augmentation);
    for (const auto& numbers : {run_.learned, run_.held_out}) {
      key.add(numbers.size());
      for (const std::uint32_t number : numbers) {
        key.add_picture(run_.pictures, number);
      }
    }
    return key.text();
  }

  void note_epochs(CheckpointState& state) const {
    state.epochs.clear();
    state.log.clear();
    for (const DistillEpoch& epoch : report_.epochs) {
      state.epochs.push_back({static_cast<double>(epoch.epoch), epoch.loss, epoch.rate,
                              epoch.seconds, epoch.pictures_per_second, epoch.held_out_cosine,
                              epoch.held_out_overlap_at_10});
      state.log += to_json(epoch) + '\n';
    }
    state.best_epoch = report_.best_epoch;
  }

  void restore(const CheckpointState& state) {
    for (const std::vector<double>& row : state.epochs) {
      report_.epochs.push_back({static_cast<std::uint32_t>(row.at(0)), row.at(1), row.at(2),
                                row.at(3), row.at(4), row.at(5), row.at(6)});
    }
    report_.best_epoch = state.best_epoch;
    best_overlap_ = report_.epochs.at(report_.best_epoch).held_out_overlap_at_10;
  }

  const DistillRun& run_;
  const DistillOptions& options_;
  const TrainProgress& progress_;
  DistillReport& report_;
  const at::Device device_;
  const bool is_half_;
  const Dataset held_out_;
  const StepTeacher teacher_;
  torch::jit::Module network_;
  std::unique_ptr<Optimisation> optimisation_;
  std::vector<at::Tensor> best_values_;
  double best_overlap_ = -1;
};

}  // namespace

void check_student(const encoder::Archive& student, const std::string& name) {
  if (image_parameter_count(student.module) > 0) return;
  throw Error(ErrorCode::kBadModel,
              fmt::format("{}: its weights are constants of the graph, so that it cannot learn; {} "
                          "without torch.jit.freeze, or take a fresh student: vit",
                          name, encoder::kExportRemedy));
}

torch::jit::Module run_distillation(const DistillRun& run, const DistillOptions& options,
                                    const TrainProgress& progress, DistillReport& report) {
  return encoder::run_torch(ErrorCode::kBadModel, run.student_name,
                            {encoder::kExportRemedy, kDistillMemoryRemedy},
                            [&] { return Distillation(run, options, progress, report).run(); });
}

}  // namespace vsearch::training

#include "train/checkpoint.h"

#include <fmt/format.h>
#include <torch/serialize.h>
#include <torch/serialize/archive.h>

#include <sstream>
#include <system_error>
#include <utility>

#include "encoder/torch_error.h"
#include "train/batches.h"
#include "train/whole_file.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

namespace fs = std::filesystem;

constexpr char kCheckpointFile[] = "checkpoint.pt";
constexpr char kLogFile[] = "log.jsonl";
constexpr std::int64_t kEpochNumbers = 7;

at::Tensor epochs_to_tensor(const std::vector<TrainEpoch>& epochs) {
  at::Tensor rows =
      at::empty({static_cast<std::int64_t>(epochs.size()), kEpochNumbers}, at::kDouble);
  double* at = rows.data_ptr<double>();
  for (const TrainEpoch& epoch : epochs) {
    for (const double value :
         {static_cast<double>(epoch.epoch), epoch.loss, epoch.rate, epoch.seconds,
          epoch.pictures_per_second, epoch.held_out_map, epoch.held_out_recall_at_1}) {
      *at++ = value;
    }
  }
  return rows;
}

std::vector<TrainEpoch> epochs_from_tensor(const at::Tensor& rows) {
  std::vector<TrainEpoch> epochs;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    const double* row = rows.data_ptr<double>() + i * kEpochNumbers;
    epochs.push_back(
        {static_cast<std::uint32_t>(row[0]), row[1], row[2], row[3], row[4], row[5], row[6]});
  }
  return epochs;
}

}  // namespace

Checkpoint::Checkpoint(fs::path folder, std::string key)
    : folder_(std::move(folder)), key_(std::move(key)) {
  if (folder_.empty()) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) {
    throw Error(ErrorCode::kIo, fmt::format("{}: the folder for checkpoints cannot be made: {}",
                                            folder_.string(), error.message()));
  }
}

bool Checkpoint::load(CheckpointState& state) const {
  const fs::path path = folder_ / kCheckpointFile;
  std::error_code ignored;
  if (folder_.empty() || !fs::exists(path, ignored)) return false;
  return encoder::run_torch(
      ErrorCode::kCorrupt, path.string() + " cannot be read",
      {"delete it to begin anew", kTrainingMemoryRemedy}, [&] {
        torch::serialize::InputArchive archive;
        archive.load_from(path.string());
        c10::IValue key;
        archive.read("key", key);
        if (key.toStringRef() != key_) return false;
        const at::NoGradGuard no_gradients;
        at::Tensor numbers;
        archive.read("epochs", numbers);
        at::Tensor best_epoch;
        archive.read("best_epoch", best_epoch);
        for (std::size_t i = 0; i < state.values.size(); ++i) {
          at::Tensor value;
          archive.read(fmt::format("value{}", i), value);
          state.values[i].copy_(value);
        }
        at::Tensor count;
        archive.read("best_count", count);
        state.best->resize(static_cast<std::size_t>(count.item<std::int64_t>()));
        for (std::size_t i = 0; i < state.best->size(); ++i) {
          archive.read(fmt::format("best{}", i), (*state.best)[i]);
          (*state.best)[i] = (*state.best)[i].to(state.values.front().device());
        }
        torch::serialize::InputArchive optimizer;
        archive.read("optimizer", optimizer);
        state.optimizer->load(optimizer);
        state.report->epochs = epochs_from_tensor(numbers);
        state.report->best_epoch = static_cast<std::uint32_t>(best_epoch.item<std::int64_t>());
        return true;
      });
}

void Checkpoint::save(const CheckpointState& state) const {
  if (folder_.empty()) return;
  torch::serialize::OutputArchive archive;
  archive.write("key", c10::IValue(key_));
  archive.write("epochs", epochs_to_tensor(state.report->epochs));
  archive.write("best_epoch",
                at::scalar_tensor(static_cast<std::int64_t>(state.report->best_epoch), at::kLong));
  for (std::size_t i = 0; i < state.values.size(); ++i) {
    archive.write(fmt::format("value{}", i), state.values[i].detach());
  }
  archive.write("best_count",
                at::scalar_tensor(static_cast<std::int64_t>(state.best->size()), at::kLong));
  for (std::size_t i = 0; i < state.best->size(); ++i) {
    archive.write(fmt::format("best{}", i), (*state.best)[i]);
  }
  torch::serialize::OutputArchive optimizer;
  state.optimizer->save(optimizer);
  archive.write("optimizer", optimizer);
  std::ostringstream content;
  archive.save_to(content);
  replace_file(folder_ / kCheckpointFile, content.view());

  std::string log;
  for (const TrainEpoch& epoch : state.report->epochs) log += to_json(epoch) + '\n';
  replace_file(folder_ / kLogFile, log);
}

}  // namespace vsearch::training

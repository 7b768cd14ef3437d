#include "train/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <torch/serialize.h>
#include <torch/serialize/archive.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <system_error>
#include <utility>

#include "encoder/torch_error.h"
#include "train/whole_file.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

namespace fs = std::filesystem;

constexpr char kCheckpointFile[] = "checkpoint.pt";
constexpr char kLogFile[] = "log.jsonl";
constexpr char kLockFile[] = "run.lock";

at::Tensor epochs_to_tensor(const std::vector<std::vector<double>>& epochs) {
  const std::size_t numbers = epochs.empty() ? 0 : epochs.front().size();
  at::Tensor rows = at::empty(
      {static_cast<std::int64_t>(epochs.size()), static_cast<std::int64_t>(numbers)}, at::kDouble);
  double* at = rows.data_ptr<double>();
  for (const std::vector<double>& epoch : epochs) at = std::ranges::copy(epoch, at).out;
  return rows;
}

std::vector<std::vector<double>> epochs_from_tensor(const at::Tensor& rows) {
  std::vector<std::vector<double>> epochs;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    const double* row = rows.data_ptr<double>() + i * rows.size(1);
    epochs.emplace_back(row, row + rows.size(1));
  }
  return epochs;
}

}  // namespace

WorkFolder::WorkFolder(const fs::path& folder) {
  if (folder.empty()) return;
  std::error_code error;
  fs::create_directories(folder, error);
  const fs::path file = folder / kLockFile;
  if (!error) {
    lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock_ < 0) error.assign(errno, std::generic_category());
  }
  if (error) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: the folder for checkpoints cannot be made or written to: {}; name "
                            "one that one may write to",
                            folder.string(), error.message()));
  }
  // A file system without locks is taken as it is.
  if (::flock(lock_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(lock_);
  throw Error(ErrorCode::kBusy,
              fmt::format("{}: another run has its checkpoints there; wait for its end, or name "
                          "another folder",
                          folder.string()));
}

WorkFolder::~WorkFolder() {
  if (lock_ >= 0) ::close(lock_);
}

Checkpoint::Checkpoint(fs::path folder, std::string key)
    : folder_(std::move(folder)), key_(std::move(key)) {}

bool Checkpoint::load(CheckpointState& state) const {
  const fs::path path = folder_ / kCheckpointFile;
  std::error_code ignored;
  if (folder_.empty() || !fs::exists(path, ignored)) return false;
  return encoder::run_torch(
      ErrorCode::kCorrupt, path.string() + " cannot be read",
      {"delete it to begin anew", "free some, or delete it to begin anew"}, [&] {
        torch::serialize::InputArchive archive;
        // Wherever it was made, as on another card.
        archive.load_from(path.string(), state.values.front().device());
        c10::IValue key;
        archive.read("key", key);
        if (key.toStringRef() != key_) return false;
        const at::NoGradGuard no_gradients;
        at::Tensor numbers;
        archive.read("epochs", numbers);
        numbers = numbers.cpu();
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
        }
        torch::serialize::InputArchive optimizer;
        archive.read("optimizer", optimizer);
        state.optimizer->load(optimizer);
        state.epochs = epochs_from_tensor(numbers);
        state.best_epoch = static_cast<std::uint32_t>(best_epoch.item<std::int64_t>());
        return true;
      });
}

void Checkpoint::save(const CheckpointState& state) const {
  if (folder_.empty()) return;
  torch::serialize::OutputArchive archive;
  archive.write("key", c10::IValue(key_));
  archive.write("epochs", epochs_to_tensor(state.epochs));
  archive.write("best_epoch",
                at::scalar_tensor(static_cast<std::int64_t>(state.best_epoch), at::kLong));
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
  replace_file(folder_ / kLogFile, state.log);
}

}  // namespace vsearch::training

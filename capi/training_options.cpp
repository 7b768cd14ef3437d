#include "training_options.h"

#include <optional>
#include <string_view>

namespace vsearch::capi {
namespace {

std::optional<Device> find_device(std::string_view name) {
  if (name == "cpu") return Device::kCpu;
  if (name == "cuda") return Device::kCuda;
  return std::nullopt;
}

}  // namespace

void take_augmentation(OptionReader& options, Augmentation& augmentation) {
  const nlohmann::json* const given = options.object("augmentation");
  if (given == nullptr) return;
  OptionReader reader(*given, options.name_of("augmentation"));
  reader.take("random_crop", augmentation.random_crop);
  reader.take("flip", augmentation.flip);
  reader.take("colour_jitter", augmentation.colour_jitter);
  reader.take("greyscale", augmentation.greyscale);
  reader.take("new_background", augmentation.new_background);
  reader.take("erase", augmentation.erase);
  reader.finish();
}

void take_device(OptionReader& options, Precision& precision, Device& device,
                 std::uint32_t& device_index) {
  options.take_name("precision", precision, find_precision, "auto, fp32 or bf16");
  options.take_name("device", device, find_device, "cpu or cuda");
  options.take("device_index", device_index);
}

TrainProgress to_train_progress(vsearch_train_progress callback, void* user) {
  if (callback == nullptr) return {};
  return [callback, user](const TrainState& state) {
    const vsearch_train_state told{state.epoch, state.epochs, state.step,
                                   state.steps, state.loss,   state.seconds_left};
    return callback(user, &told) == 0;
  };
}

}  // namespace vsearch::capi

// Keyword arguments of the calls that train.
#pragma once

#include <fmt/format.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "convert.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/trainer.h"

namespace vsearch::python {

// Keyword arguments: those that are not there leave their value as it is.
class GivenOptions {
 public:
  explicit GivenOptions(py::dict given) : given_(std::move(given)) {}

  // Throws TypeError, which names the argument.
  template <class T>
  void take(const char* name, T& value) const {
    if (!given_.contains(name)) return;
    const py::object object = given_[name];
    try {
      value = object.cast<T>();
    } catch (const py::cast_error&) {
      throw py::type_error(
          fmt::format("{} cannot be {}", name, py::repr(object).cast<std::string>()));
    }
  }

  template <class T>
  void take(const char* name, std::optional<T>& value) const {
    if (!given_.contains(name)) return;
    T found{};
    take(name, found);
    value = found;
  }

  void take_path(const char* name, std::filesystem::path& value) const {
    if (given_.contains(name)) value = to_path(given_[name]);
  }

  // One of the names that `find` knows. Throws kInvalidArgument, with them.
  template <class T, class Find>
  void take_name(const char* name, T& value, const Find& find, const char* names) const {
    std::string text;
    take(name, text);
    if (!given_.contains(name)) return;
    const std::optional<T> found = find(text);
    if (!found) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{} must be {}, not '{}'", name, names, text));
    }
    value = *found;
  }

 private:
  py::dict given_;
};

// What every such call takes: the augmentation, precision, device and seed.
inline void take_step_options(const GivenOptions& options, Augmentation& augmentation,
                              Precision& precision, Device& device, std::uint32_t& device_index) {
  options.take("random_crop", augmentation.random_crop);
  options.take("flip", augmentation.flip);
  options.take("colour_jitter", augmentation.colour_jitter);
  options.take("greyscale", augmentation.greyscale);
  options.take("new_background", augmentation.new_background);
  options.take("erase", augmentation.erase);
  options.take_name("precision", precision, find_precision, "'auto', 'fp32' or 'bf16'");
  bool cuda = false;
  options.take("cuda", cuda);
  device = cuda ? Device::kCuda : Device::kCpu;
  options.take("device_index", device_index);
}

// A callback of the fields of TrainState, or None, in `call`; `go_on` is what `call` gives.
inline TrainProgress to_train_progress(LongCall& call, const Progress& go_on,
                                       const py::object& progress) {
  const bool is_told = !progress.is_none();
  return [&call, go_on, &progress, is_told](const TrainState& state) {
    if (!go_on(state.step, state.steps)) return false;
    return !is_told || call.ask([&]() -> py::object {
      return progress(state.epoch, state.epochs, state.step, state.steps, state.loss,
                      state.seconds_left);
    });
  };
}

}  // namespace vsearch::python

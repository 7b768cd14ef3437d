// The C interface to training.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "vsearch/dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/trainer.h"

namespace capi = vsearch::capi;

namespace {

using Json = nlohmann::json;

// Takes the values of a JSON object one by one. What is missing or null is left as it is.
// Every member throws kInvalidArgument, which names the value and what it must be.
class OptionReader {
 public:
  OptionReader(const Json& object, std::string name) : object_(object), name_(std::move(name)) {
    if (!object_.is_object()) fail_of(name_, object_, "an object, such as {\"epochs\": 8}");
  }

  void take(const char* key, bool& value) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    if (!given->is_boolean()) fail(key, *given, "true or false");
    value = given->get<bool>();
  }
  void take(const char* key, double& value) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    if (!given->is_number()) fail(key, *given, "a number");
    value = given->get<double>();
  }
  void take(const char* key, std::uint32_t& value) {
    std::uint64_t wide = value;
    take_whole(key, wide, std::numeric_limits<std::uint32_t>::max());
    value = static_cast<std::uint32_t>(wide);
  }
  void take(const char* key, std::uint64_t& value) {
    take_whole(key, value, std::numeric_limits<std::uint64_t>::max());
  }
  void take(const char* key, std::string& value) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    if (!given->is_string()) fail(key, *given, "a text");
    value = given->get<std::string>();
  }
  void take(const char* key, std::filesystem::path& value) {
    std::string text = value.string();
    take(key, text);
    value = text;
  }
  void take(const char* key, std::vector<std::string>& value) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    value.clear();
    if (!given->is_array()) fail(key, *given, "a list of texts");
    for (const Json& text : *given) {
      if (!text.is_string()) fail(key, *given, "a list of texts");
      value.push_back(text.get<std::string>());
    }
  }
  template <class T>
  void take(const char* key, std::optional<T>& value) {
    if (find(key) == nullptr) return;
    T given{};
    take(key, given);
    value = given;
  }
  // One of the names that `find_name` knows.
  template <class T, class Find>
  void take_name(const char* key, T& value, const Find& find_name, const char* names) {
    std::string name;
    take(key, name);
    if (find(key) == nullptr) return;
    const std::optional<T> found = find_name(name);
    if (!found) fail(key, name, names);
    value = *found;
  }
  const Json* object(const char* key) { return find(key); }
  std::string name_of(const char* key) const { return name_ + '.' + key; }

  // Nothing was given but what was asked for.
  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::ranges::find(known_, key) != known_.end()) continue;
      throw vsearch::Error(
          vsearch::ErrorCode::kInvalidArgument,
          fmt::format("{} has no '{}'; it has: {}", name_, key, fmt::join(known_, ", ")));
    }
  }

  [[noreturn]] void fail(const char* key, const Json& given, std::string_view wanted) const {
    fail_of(name_of(key), given, wanted);
  }

 private:
  const Json* find(const char* key) {
    if (std::ranges::find(known_, key) == known_.end()) known_.emplace_back(key);
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  void take_whole(const char* key, std::uint64_t& value, std::uint64_t most) {
    const Json* const given = find(key);
    if (given == nullptr) return;
    if (!given->is_number_unsigned() || given->get<std::uint64_t>() > most) {
      fail(key, *given, fmt::format("a whole number from 0 to {}", most));
    }
    value = given->get<std::uint64_t>();
  }

  [[noreturn]] static void fail_of(const std::string& name, const Json& given,
                                   std::string_view wanted) {
    throw vsearch::Error(
        vsearch::ErrorCode::kInvalidArgument,
        fmt::format("{} is {}; it must be {}", name,
                    given.dump(-1, ' ', false, Json::error_handler_t::replace), wanted));
  }

  const Json& object_;
  std::string name_;
  std::vector<std::string> known_;
};

vsearch::Dataset load_labelled(const std::string& kind, const std::string& root, bool incomplete) {
  vsearch::DatasetOptions options;
  options.check_files = !incomplete;
  options.check_counts = !incomplete;
  return vsearch::load_dataset(kind, root, options);
}

std::optional<vsearch::Device> find_device(std::string_view name) {
  if (name == "cpu") return vsearch::Device::kCpu;
  if (name == "cuda") return vsearch::Device::kCuda;
  return std::nullopt;
}

void take_augmentation(OptionReader& options, vsearch::Augmentation& augmentation) {
  const Json* const given = options.object("augmentation");
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

std::vector<vsearch::Dataset> take_keep_apart(OptionReader& options, bool incomplete) {
  const Json* const given = options.object("keep_apart");
  std::vector<vsearch::Dataset> datasets;
  if (given == nullptr) return datasets;
  if (!given->is_array()) {
    options.fail("keep_apart", *given,
                 "a list such as [{\"dataset\": \"folder\", \"root\": \"a/\"}]");
  }
  for (const Json& other : *given) {
    OptionReader reader(other,
                        fmt::format("{}[{}]", options.name_of("keep_apart"), datasets.size()));
    std::string kind;
    std::string root;
    reader.take("dataset", kind);
    reader.take("root", root);
    reader.finish();
    if (root.empty()) reader.fail("root", root, "the folder of the data set");
    datasets.push_back(load_labelled(kind, root, incomplete));
  }
  return datasets;
}

struct TrainRequest {
  vsearch::TrainOptions options;
  bool incomplete = false;
};

TrainRequest read_train_options(const char* text) {
  TrainRequest request;
  if (text == nullptr) return request;
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    throw vsearch::Error(
        vsearch::ErrorCode::kInvalidArgument,
        fmt::format("options is no JSON: '{}'; give an object, such as {{\"epochs\": 8}}", text));
  }
  OptionReader reader(json, "options");
  vsearch::TrainOptions& how = request.options;
  reader.take_name("depth", how.depth, vsearch::find_depth, "head, partial or full");
  reader.take_name("loss", how.loss, vsearch::find_loss,
                   "arcface, subcentre, cosface, normsoftmax, proxyanchor, supcon, triplet or "
                   "multisimilarity");
  reader.take("margin", how.margin);
  reader.take("scale", how.scale);
  reader.take("sub_centres", how.sub_centres);
  reader.take("label_fields", how.label_fields);
  reader.take("split", how.split);
  reader.take("held_out_classes", how.held_out_classes);
  reader.take("epochs", how.epochs);
  reader.take("batch_size", how.batch_size);
  reader.take("rate", how.rate);
  reader.take("head_rate", how.head_rate);
  reader.take("weight_decay", how.weight_decay);
  reader.take("layer_decay", how.layer_decay);
  reader.take("warm_up", how.warm_up);
  reader.take("clip_gradients", how.clip_gradients);
  reader.take("blocks", how.blocks);
  reader.take("per_class", how.per_class);
  reader.take("balance_classes", how.balance_classes);
  reader.take("dim", how.dim);
  take_augmentation(reader, how.augmentation);
  reader.take("keep_start", how.keep_start);
  reader.take("mix_with_start", how.mix_with_start);
  reader.take("patience", how.patience);
  reader.take_name("precision", how.precision, vsearch::find_precision, "auto, fp32 or bf16");
  reader.take_name("device", how.device, find_device, "cpu or cuda");
  reader.take("device_index", how.device_index);
  reader.take("seed", how.seed);
  reader.take("work", how.work);
  reader.take("cache", how.cache);
  reader.take("incomplete", request.incomplete);
  how.keep_apart = take_keep_apart(reader, request.incomplete);
  reader.finish();
  return request;
}

vsearch::TrainProgress to_train_progress(vsearch_train_progress callback, void* user) {
  if (callback == nullptr) return {};
  return [callback, user](const vsearch::TrainState& state) {
    const vsearch_train_state told{state.epoch, state.epochs, state.step,
                                   state.steps, state.loss,   state.seconds_left};
    return callback(user, &told) == 0;
  };
}

}  // namespace

vsearch_status vsearch_train(const char* model, const char* dataset, const char* root,
                             const char* output, const char* options,
                             vsearch_train_progress progress, void* progress_user,
                             vsearch_text** json, vsearch_error* error) {
  return capi::make_handle(json, error, [&] {
    capi::require(model, "model");
    capi::require(root, "root");
    capi::require(output, "output");
    const TrainRequest request = read_train_options(options);
    const vsearch::TrainReport report =
        vsearch::train(vsearch::find_encoder(model),
                       load_labelled(capi::text_or_empty(dataset), root, request.incomplete),
                       output, request.options, to_train_progress(progress, progress_user));
    return std::make_unique<vsearch_text>(vsearch::to_json(report));
  });
}

// The C interface to training.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "options.h"
#include "training_options.h"
#include "vsearch/catalog_dataset.h"
#include "vsearch/dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/labelled_queries.h"
#include "vsearch/text_trainer.h"
#include "vsearch/trainer.h"

namespace capi = vsearch::capi;

namespace {

using capi::OptionReader;
using Json = nlohmann::json;

vsearch::Dataset load_labelled(const std::string& kind, const std::string& root, bool incomplete) {
  vsearch::DatasetOptions options;
  options.check_files = !incomplete;
  options.check_counts = !incomplete;
  return vsearch::load_dataset(kind, root, options);
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
  std::string queries;  // a file; of a catalogue alone
};

TrainRequest read_train_options(const char* text, bool of_catalog) {
  TrainRequest request;
  const Json json = capi::parse_options(text);
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
  reader.take_name("optimiser", how.optimiser, vsearch::find_optimiser, "adamw or sgd");
  reader.take("accumulate", how.accumulate);
  reader.take("mean_decay", how.mean_decay);
  reader.take("blocks", how.blocks);
  reader.take("lora_rank", how.lora_rank);
  reader.take("cut_mix", how.cut_mix);
  reader.take("per_class", how.per_class);
  reader.take("balance_classes", how.balance_classes);
  reader.take("balance_field", how.balance_field);
  reader.take("batch_field", how.batch_field);
  reader.take("in_turn", how.in_turn);
  reader.take("own_classifiers", how.own_classifiers);
  reader.take_name("head", how.head, vsearch::find_head, "learned, lda, pca or pca-whitening");
  reader.take("hidden", how.hidden);
  reader.take("dim", how.dim);
  capi::take_augmentation(reader, how.augmentation);
  reader.take("keep_start", how.keep_start);
  reader.take("mix_with_start", how.mix_with_start);
  reader.take("patience", how.patience);
  capi::take_device(reader, how.precision, how.device, how.device_index);
  reader.take("seed", how.seed);
  reader.take("work", how.work);
  reader.take("cache", how.cache);
  reader.take("incomplete", request.incomplete);
  if (of_catalog) reader.take("queries", request.queries);
  how.keep_apart = take_keep_apart(reader, request.incomplete);
  reader.finish();
  return request;
}

vsearch::TextTrainOptions read_text_options(const char* text) {
  const Json json = capi::parse_options(text);
  OptionReader reader(json, "options");
  vsearch::TextTrainOptions how;
  std::string model;
  reader.take("fields", how.fields);
  reader.take("model", model);
  reader.take("sentence", how.sentence);
  reader.take("held_out", how.held_out);
  reader.take("epochs", how.epochs);
  reader.take("batch_size", how.batch_size);
  reader.take("rate", how.rate);
  reader.take("weight_decay", how.weight_decay);
  reader.take("width", how.width);
  reader.take("most_pieces", how.most_pieces);
  reader.take("patience", how.patience);
  reader.take("seed", how.seed);
  reader.finish();
  if (!model.empty()) how.model = vsearch::find_encoder(model);
  return how;
}

vsearch::TextTrainProgress to_text_progress(vsearch_train_progress callback, void* user) {
  if (callback == nullptr) return {};
  return [callback, user](const vsearch::TextTrainState& state) {
    const vsearch_train_state told{state.epoch, state.epochs, state.step,
                                   state.steps, state.loss,   state.seconds_left};
    return callback(user, &told) == 0;
  };
}

std::unique_ptr<vsearch_text> tune(const char* model, const vsearch::Dataset& dataset,
                                   const char* output, const vsearch::TrainOptions& options,
                                   vsearch_train_progress progress, void* progress_user) {
  return std::make_unique<vsearch_text>(
      vsearch::to_json(vsearch::train(vsearch::find_encoder(model), dataset, output, options,
                                      capi::to_train_progress(progress, progress_user))));
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
    const TrainRequest request = read_train_options(options, false);
    return tune(model, load_labelled(capi::text_or_empty(dataset), root, request.incomplete),
                output, request.options, progress, progress_user);
  });
}

vsearch_status vsearch_catalog_train(const vsearch_catalog* catalog, const char* model,
                                     const char* output, const char* options,
                                     vsearch_train_progress progress, void* progress_user,
                                     vsearch_text** json, vsearch_error* error) {
  return capi::make_handle(json, error, [&] {
    capi::require(catalog, "catalog");
    capi::require(model, "model");
    capi::require(output, "output");
    TrainRequest request = read_train_options(options, true);
    if (request.queries.empty() == request.options.label_fields.empty()) {
      throw vsearch::Error(vsearch::ErrorCode::kInvalidArgument,
                           "options: give either label_fields or queries, which say what belongs "
                           "together");
    }
    // Of the data set, its labels are what is learned.
    const std::vector<std::string> fields = std::exchange(request.options.label_fields, {});
    const vsearch::Dataset dataset =
        fields.empty() ? vsearch::catalog_dataset(catalog->catalog,
                                                  vsearch::read_labelled_queries(request.queries))
                       : vsearch::catalog_dataset(catalog->catalog, fields);
    return tune(model, dataset, output, request.options, progress, progress_user);
  });
}

vsearch_status vsearch_train_text(const vsearch_catalog* catalog, const char* output,
                                  const char* options, vsearch_train_progress progress,
                                  void* progress_user, vsearch_text** json, vsearch_error* error) {
  return capi::make_handle(json, error, [&] {
    capi::require(catalog, "catalog");
    capi::require(output, "output");
    return std::make_unique<vsearch_text>(
        vsearch::to_json(vsearch::train_text(catalog->catalog, output, read_text_options(options),
                                             to_text_progress(progress, progress_user))));
  });
}

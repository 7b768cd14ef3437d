// Names and JSON of training: what needs no torch.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "vsearch/trainer.h"

namespace vsearch {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<TrainDepth, std::string_view>, 3> kDepths{
    {{TrainDepth::kHead, "head"}, {TrainDepth::kPartial, "partial"}, {TrainDepth::kFull, "full"}}};

constexpr std::array<std::pair<HeadKind, std::string_view>, 4> kHeads{
    {{HeadKind::kLearned, "learned"},
     {HeadKind::kLda, "lda"},
     {HeadKind::kPca, "pca"},
     {HeadKind::kPcaWhitening, "pca-whitening"}}};

constexpr std::array<std::pair<Optimiser, std::string_view>, 2> kOptimisers{
    {{Optimiser::kAdamW, "adamw"}, {Optimiser::kSgd, "sgd"}}};

constexpr std::array<std::pair<Loss, std::string_view>, 8> kLosses{
    {{Loss::kArcFace, "arcface"},
     {Loss::kSubCentreArcFace, "subcentre"},
     {Loss::kCosFace, "cosface"},
     {Loss::kNormSoftmax, "normsoftmax"},
     {Loss::kProxyAnchor, "proxyanchor"},
     {Loss::kSupCon, "supcon"},
     {Loss::kTriplet, "triplet"},
     {Loss::kMultiSimilarity, "multisimilarity"}}};

template <class Table, class Value>
std::string_view name_in(const Table& table, Value value) {
  const auto found = std::ranges::find(table, value, [](const auto& row) { return row.first; });
  return found == table.end() ? "unknown" : found->second;
}

template <class Value, class Table>
std::optional<Value> find_in(const Table& table, std::string_view name) {
  const auto found = std::ranges::find(table, name, [](const auto& row) { return row.second; });
  if (found == table.end()) return std::nullopt;
  return found->first;
}

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json epoch_json(const TrainEpoch& epoch) {
  return {{"epoch", epoch.epoch},
          {"loss", number(epoch.loss)},
          {"rate", epoch.rate},
          {"seconds", epoch.seconds},
          {"pictures_per_second", epoch.pictures_per_second},
          {"held_out_mAP", number(epoch.held_out_map)},
          {"held_out_R@1", number(epoch.held_out_recall_at_1)}};
}

Json data_json(const TrainingData& data) {
  Json json = {
      {"pictures", data.pictures},     {"classes", data.classes},
      {"held_out", data.held_out},     {"held_out_classes_are_new", data.held_out_classes_are_new},
      {"rare_count", data.rare_count}, {"suspect_count", data.suspect_count},
      {"leak_count", data.leak_count}};
  json["rare"] = Json::array();
  for (const auto& rare : data.rare) {
    json["rare"].push_back({{"label", rare.name}, {"pictures", rare.pictures}});
  }
  json["suspects"] = Json::array();
  for (const auto& suspect : data.suspects) {
    json["suspects"].push_back({{"picture", suspect.picture},
                                {"path", suspect.path},
                                {"label", suspect.label},
                                {"looks_like", suspect.looks_like},
                                {"margin", suspect.margin}});
  }
  json["leaks"] = Json::array();
  for (const auto& leak : data.leaks) {
    json["leaks"].push_back({{"picture", leak.picture}, {"path", leak.path}, {"of", leak.of}});
  }
  return json;
}

}  // namespace

std::string_view depth_name(TrainDepth depth) {
  return name_in(kDepths, depth);
}
std::optional<TrainDepth> find_depth(std::string_view name) {
  return find_in<TrainDepth>(kDepths, name);
}
std::string_view optimiser_name(Optimiser optimiser) {
  return name_in(kOptimisers, optimiser);
}
std::optional<Optimiser> find_optimiser(std::string_view name) {
  return find_in<Optimiser>(kOptimisers, name);
}
std::string_view head_name(HeadKind head) {
  return name_in(kHeads, head);
}
std::optional<HeadKind> find_head(std::string_view name) {
  return find_in<HeadKind>(kHeads, name);
}
std::string_view loss_name(Loss loss) {
  return name_in(kLosses, loss);
}
std::optional<Loss> find_loss(std::string_view name) {
  return find_in<Loss>(kLosses, name);
}

std::string to_json(const TrainEpoch& epoch) {
  return epoch_json(epoch).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_json(const TrainReport& report) {
  Json json = {{"depth", depth_name(report.depth)},
               {"head", head_name(report.head)},
               {"loss", loss_name(report.loss)},
               {"package", report.package.string()},
               {"fingerprint", report.fingerprint},
               {"start_fingerprint", report.start_fingerprint},
               {"seconds", report.seconds},
               {"best_epoch", report.best_epoch},
               {"mixture", report.mixture},
               {"held_out_mAP", number(report.held_out_map)},
               {"stopped", report.stopped},
               {"dropped_forms", report.dropped_forms},
               {"lost", report.lost},
               {"data", data_json(report.data)}};
  if (report.words.names > 0) {
    json["words"] = {{"names", report.words.names},
                     {"pictures", report.words.pictures},
                     {"mAP_before", report.words.map_before},
                     {"mAP_unaligned", report.words.map_unaligned},
                     {"mAP_after", report.words.map_after}};
  }
  if (!report.words.unmoved.empty()) json["words"] = {{"unmoved", report.words.unmoved}};
  json["epochs"] = Json::array();
  for (const TrainEpoch& epoch : report.epochs) json["epochs"].push_back(epoch_json(epoch));
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace vsearch

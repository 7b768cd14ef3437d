// JSON of distillation: what needs no torch.
#include <cmath>
#include <nlohmann/json.hpp>

#include "vsearch/distillation.h"

namespace vsearch {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson number_or_null(double value) {
  return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr);
}

OrderedJson distill_epoch_json(const DistillEpoch& epoch) {
  return {{"epoch", epoch.epoch},
          {"loss", number_or_null(epoch.loss)},
          {"rate", epoch.rate},
          {"seconds", epoch.seconds},
          {"pictures_per_second", epoch.pictures_per_second},
          {"held_out_cosine", number_or_null(epoch.held_out_cosine)},
          {"held_out_overlap@10", number_or_null(epoch.held_out_overlap_at_10)}};
}

OrderedJson distill_model_json(const DistillModel& model) {
  return {{"fingerprint", model.fingerprint},
          {"parameters", model.parameters},
          {"dim", model.dim},
          {"width_px", model.width_px},
          {"height_px", model.height_px},
          {"pictures_per_second", model.pictures_per_second}};
}

}  // namespace

std::string to_json(const DistillEpoch& epoch) {
  return distill_epoch_json(epoch).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string to_json(const DistillReport& report) {
  OrderedJson json = {{"package", report.package.string()},
                      {"teacher", distill_model_json(report.teacher)},
                      {"student", distill_model_json(report.student)},
                      {"start", report.start},
                      {"has_text", report.has_text},
                      {"seconds", report.seconds},
                      {"pictures", report.pictures},
                      {"held_out", report.held_out},
                      {"best_epoch", report.best_epoch},
                      {"stopped", report.stopped},
                      {"lost", report.lost},
                      {"dropped_forms", report.dropped_forms},
                      {"skipped_count", report.skipped_count}};
  json["skipped"] = OrderedJson::array();
  for (const DistillReport::Skipped& skipped : report.skipped) {
    json["skipped"].push_back({{"path", skipped.path}, {"message", skipped.message}});
  }
  json["epochs"] = OrderedJson::array();
  for (const DistillEpoch& epoch : report.epochs)
    json["epochs"].push_back(distill_epoch_json(epoch));
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace vsearch

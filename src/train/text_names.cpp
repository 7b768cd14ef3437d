// The report of train_text() as JSON.
#include <nlohmann/json.hpp>

#include "vsearch/text_trainer.h"

namespace vsearch {

std::string to_json(const TextTrainReport& report) {
  using TextJson = nlohmann::ordered_json;
  TextJson json = {{"package", report.package.string()},
                   {"fingerprint", report.fingerprint},
                   {"start_fingerprint", report.start_fingerprint},
                   {"seconds", report.seconds},
                   {"pairs", report.pairs},
                   {"texts", report.texts},
                   {"held_out", report.held_out},
                   {"without_text", report.without_text},
                   {"without_embedding", report.without_embedding},
                   {"pieces", report.pieces},
                   {"chance_at_10", report.chance_at_10},
                   {"best_epoch", report.best_epoch},
                   {"stopped", report.stopped}};
  json["epochs"] = TextJson::array();
  for (const TextTrainEpoch& epoch : report.epochs) {
    json["epochs"].push_back({{"epoch", epoch.epoch},
                              {"loss", epoch.loss},
                              {"seconds", epoch.seconds},
                              {"recall_at_1", epoch.recall_at_1},
                              {"recall_at_10", epoch.recall_at_10},
                              {"mean_reciprocal_rank", epoch.mean_reciprocal_rank}});
  }
  json["examples"] = TextJson::array();
  for (const TextExample& example : report.examples) {
    TextJson found = TextJson::array();
    for (const auto& one : example.found) found.push_back({{"key", one.key}, {"text", one.text}});
    json["examples"].push_back(
        {{"text", example.text}, {"place", example.place}, {"found", std::move(found)}});
  }
  return json.dump(2, ' ', false, TextJson::error_handler_t::replace);
}

}  // namespace vsearch

// What was measured, for programs.
#include <cmath>
#include <nlohmann/json.hpp>

#include "vsearch/evaluator.h"
#include "vsearch/version.h"

namespace vsearch {
namespace {

using nlohmann::json;

json number(double value) {
  return std::isfinite(value) ? json(value) : json(nullptr);
}

json of(const Estimate& estimate) {
  return {{"mean", number(estimate.mean)},
          {"low", number(estimate.low)},
          {"high", number(estimate.high)},
          {"count", estimate.count}};
}

json of(const std::vector<std::string>& names, const std::vector<Estimate>& estimates) {
  json result = json::object();
  for (std::size_t i = 0; i < names.size(); ++i) result[names[i]] = of(estimates[i]);
  return result;
}

json of(const std::vector<std::string>& names, const std::vector<GroupScores>& groups) {
  json result = json::array();
  for (const GroupScores& group : groups) {
    json means = json::object();
    for (std::size_t i = 0; i < names.size(); ++i) means[names[i]] = number(group.means[i]);
    result.push_back({{"group", group.group}, {"queries", group.queries}, {"metrics", means}});
  }
  return result;
}

json queries_of(const ProtocolResult& result) {
  json queries = json::array();
  const RetrievalScores& scores = result.scores;
  for (std::size_t q = 0; q < result.pictures.size(); ++q) {
    json one = {{"picture", result.pictures[q]},
                {"right_answers", scores.right_answers[q]},
                {"first_right", scores.first_right[q]}};
    for (std::size_t c = 0; c < scores.names.size(); ++c) {
      one["metrics"][scores.names[c]] = number(scores.values.row(q)[c]);
    }
    queries.push_back(std::move(one));
  }
  return queries;
}

json of(const ProtocolResult& result, bool every_query) {
  json object = {{"protocol", result.protocol},
                 {"queries", result.queries},
                 {"gallery", result.gallery},
                 {"without_answer", result.without_answer},
                 {"metrics", of(result.metrics, result.estimates)},
                 {"by_class", of(result.metrics, result.by_class)}};
  for (const auto& [field, groups] : result.by_field) {
    object["by_field"][field] = of(result.metrics, groups);
  }
  if (result.across_domains) {
    object["across_domains"] = of(result.metrics, *result.across_domains);
  }
  if (every_query) object["each_query"] = queries_of(result);
  return object;
}

// Names come from strangers' files and need not be UTF-8.
std::string text(const json& object) {
  return object.dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string to_json(const Evaluation& evaluation, bool every_query) {
  json object = {{"library", VSEARCH_VERSION},
                 {"dataset", evaluation.dataset},
                 {"root", evaluation.root},
                 {"dataset_fingerprint", evaluation.dataset_fingerprint},
                 {"encoder", evaluation.encoder_name},
                 {"encoder_fingerprint", evaluation.encoder_fingerprint},
                 {"precision", evaluation.precision},
                 {"rerank", evaluation.rerank},
                 {"pictures", evaluation.pictures},
                 {"from_cache", evaluation.from_cache},
                 {"encode_seconds", evaluation.encode_seconds},
                 {"skipped", json::array()},
                 {"protocols", json::array()}};
  for (const SkippedPicture& picture : evaluation.skipped) {
    object["skipped"].push_back({{"picture", picture.picture}, {"message", picture.message}});
  }
  for (const ProtocolResult& result : evaluation.protocols) {
    object["protocols"].push_back(of(result, every_query));
  }
  return text(object);
}

std::string to_json(const CatalogEvaluation& evaluation) {
  json object = {{"library", VSEARCH_VERSION},
                 {"catalog", evaluation.catalog},
                 {"encoder", evaluation.encoder_name},
                 {"encoder_fingerprint", evaluation.encoder_fingerprint},
                 {"items", evaluation.items},
                 {"queries", evaluation.queries},
                 {"metrics", of(evaluation.metrics, evaluation.estimates)},
                 {"exact_metrics", of(evaluation.metrics, evaluation.exact_estimates)},
                 {"failed", json::array()},
                 {"worst", json::array()}};
  for (const auto& failed : evaluation.failed) {
    object["failed"].push_back({{"query", failed.query}, {"message", failed.message}});
  }
  for (const auto& missed : evaluation.worst) {
    object["worst"].push_back({{"query", missed.query},
                               {"first_right", missed.first_right},
                               {"found", missed.found},
                               {"wanted", missed.wanted}});
  }
  return text(object);
}

}  // namespace vsearch

// to_json() of an audit.
#include <nlohmann/json.hpp>
#include <string>

#include "vsearch/audit.h"
#include "vsearch/version.h"

namespace vsearch {
namespace {

using Json = nlohmann::json;

Json json_of(const AuditFinding& finding) {
  Json numbers = Json::array();
  for (const AuditNumber& number : finding.numbers) {
    numbers.push_back({{"name", number.name},
                       {"mean", number.estimate.mean},  // NaN becomes null
                       {"low", number.estimate.low},
                       {"high", number.estimate.high},
                       {"count", number.estimate.count},
                       {"unit", number.unit == AuditUnit::kShare ? "share" : "number"},
                       {"meaning", number.meaning}});
  }
  Json examples = Json::array();
  for (const AuditExample& example : finding.examples) {
    Json pictures = Json::array();
    for (const AuditExample::Shown& shown : example.pictures) pictures.push_back(shown.caption);
    examples.push_back({{"caption", example.caption}, {"pictures", std::move(pictures)}});
  }
  return {{"id", finding.id},
          {"title", finding.title},
          {"verdict", verdict_name(finding.verdict)},
          {"summary", finding.summary},
          {"remedy", finding.remedy},
          {"numbers", std::move(numbers)},
          {"examples", std::move(examples)}};
}

}  // namespace

std::string to_json(const Audit& audit) {
  Json findings = Json::array();
  for (const AuditFinding& finding : audit.findings) findings.push_back(json_of(finding));
  const Json json{{"library", VSEARCH_VERSION},
                  {"dataset", audit.dataset},
                  {"encoder", audit.encoder_name},
                  {"encoder_fingerprint", audit.encoder_fingerprint},
                  {"findings", std::move(findings)}};
  // Names of classes may come from anywhere, and not be UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace vsearch

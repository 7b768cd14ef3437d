// Faults that are planted in encoders, and found by the audit under the right name and no other.
#include "vsearch/audit.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/planted_encoders.h"
#include "support/shapes.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::Audit;
using vsearch::AuditFinding;
using vsearch::AuditOptions;
using vsearch::Dataset;
using vsearch::ErrorCode;
using vsearch::Verdict;

namespace {

// The pictures are written once for all tests.
const Dataset& shapes() {
  static const TempDir folder;
  static const Dataset dataset = write_shapes(folder.path(), 16);
  return dataset;
}

AuditOptions quick(std::vector<std::string> only = {}) {
  AuditOptions options;
  options.sample = 72;
  options.bootstrap = 200;
  options.only = std::move(only);
  return options;
}

std::string described(const Audit& audit) {
  std::string text;
  for (const AuditFinding& finding : audit.findings) {
    text += fmt::format("{}: {}: {}\n", finding.id, verdict_name(finding.verdict), finding.summary);
    for (const vsearch::AuditNumber& number : finding.numbers) {
      text += fmt::format("    {:.3f} [{:.3f}, {:.3f}] {}\n", number.estimate.mean,
                          number.estimate.low, number.estimate.high, number.name);
    }
  }
  return text;
}

// The ids of the faults among the three that an encoder can be blamed for.
std::vector<std::string> faults(const Audit& audit) {
  std::vector<std::string> result;
  for (const char* id : {"background", "colour", "collapse"}) {
    const AuditFinding* finding = audit.find(id);
    REQUIRE(finding != nullptr);
    CHECK(finding->verdict != Verdict::kNotMeasured);
    if (finding->verdict == Verdict::kFault) result.emplace_back(id);
  }
  return result;
}

Audit audit_of(const std::string& name, std::uint32_t dim, Features features) {
  return vsearch::audit(PlantedEncoder(name, dim, std::move(features)), shapes(),
                        quick({"background", "colour", "collapse"}));
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("a sound encoder is accused of nothing") {
  const Audit audit = vsearch::audit(sound_encoder(), shapes(), quick());
  INFO(described(audit));
  CHECK(faults(audit) == Ids{});
  CHECK(audit.findings.size() == 6);
  CHECK(audit.find("background")->verdict == Verdict::kSound);
  CHECK(audit.find("colour")->verdict == Verdict::kSound);
  CHECK(audit.find("collapse")->verdict == Verdict::kSound);
}

TEST_CASE("an encoder that sees only colour is found out", "[large]") {
  for (const auto& [dim, features] :
       {std::pair(4U, Features(mean_colour)), std::pair(64U, Features(colour_histogram))}) {
    const Audit audit = audit_of("colours", dim, features);
    INFO(described(audit));
    CHECK(faults(audit) == Ids{"colour"});
  }
}

TEST_CASE("an encoder that sees only the border is found out", "[large]") {
  for (const auto& [dim, features] :
       {std::pair(144U, Features(border)), std::pair(4U, Features(border_colour))}) {
    const Audit audit = audit_of("borders", dim, features);
    INFO(described(audit));
    CHECK(faults(audit) == Ids{"background"});
  }
}

TEST_CASE("an encoder that takes one category for another is found out") {
  const Audit audit = audit_of("merging", 145, MergingFeatures(3, 8));  // crosses for tees
  INFO(described(audit));
  CHECK(faults(audit) == Ids{"collapse"});
  CHECK(audit.find("collapse")->summary.find("\"cross\" and \"tee\"") != std::string::npos);
}

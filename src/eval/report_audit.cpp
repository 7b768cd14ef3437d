// The findings of an audit: numbers, what they mean, the remedy, and pictures.
#include <fmt/format.h>

#include <algorithm>

#include "eval/report_numbers.h"
#include "eval/report_parts.h"
#include "eval/report_sections.h"

namespace vsearch::report {
namespace {

constexpr std::size_t kMostExamples = 12;

Markup numbers_table(const AuditFinding& finding) {
  Table rows{fmt::format("Numbers: {}", short_name(finding.title)),
             {text_cell("number"), text_cell("value"), text_cell("95 % interval"),
              text_cell("what it means")},
             {},
             "meanings"};
  for (const AuditNumber& number : finding.numbers) {
    const bool share = number.unit == AuditUnit::kShare;
    rows.rows.push_back(
        {text_cell(number.name),
         text_cell(share ? percent(number.estimate.mean) : plain_number(number.estimate.mean)),
         text_cell(share ? percent_interval(number.estimate) : plain_interval(number.estimate)),
         join(number.meaning)});
  }
  return rows.rows.empty() ? Markup{} : table(rows);
}

Markup examples(const AuditFinding& finding, std::uint32_t pictures_px) {
  Markup rows;
  const std::size_t shown = std::min(finding.examples.size(), kMostExamples);
  for (std::size_t i = 0; i < shown; ++i) {
    const AuditExample& example = finding.examples[i];
    std::vector<Shot> shots;
    for (const AuditExample::Shown& picture : example.pictures) {
      shots.push_back({thumbnail_of(picture.image, pictures_px), picture.caption, picture.caption});
    }
    rows += picture_row(example.caption, Shot{}, shots);
  }
  return rows.empty() ? rows : tag("div", {{"class", "rows"}}, rows);
}

}  // namespace

std::string finding_id(std::size_t number) {
  return fmt::format("finding-{}", number + 1);
}

Markup audit_section(const Audit& audit, const ReportOptions& options) {
  Markup content = paragraph(
      "What visual search is known to get wrong, looked for in this encoder. Each finding has a "
      "number that decided, and a remedy where one is needed.");
  for (std::size_t i = 0; i < audit.findings.size(); ++i) {
    const AuditFinding& finding = audit.findings[i];
    const Markup remedy =
        finding.remedy.empty()
            ? Markup{}
            : tag("p", {{"class", "remedy"}}, tag("strong", {}, "Remedy. "), finding.remedy);
    content += tag("article", {{"class", "finding"}, {"id", finding_id(i)}},
                   tag("h3", {}, short_name(finding.title), " ", badge(finding.verdict)),
                   paragraph(finding.summary), remedy, numbers_table(finding),
                   examples(finding, options.pictures_px));
  }
  return section("audit", "Audit", content);
}

}  // namespace vsearch::report

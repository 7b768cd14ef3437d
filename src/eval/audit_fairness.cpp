// Fairness of the index: whether it finds less in some categories than in others.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "eval/audit_findings.h"

namespace vsearch::eval {
namespace {

constexpr std::uint32_t kAnswersCompared = 10;
constexpr std::size_t kFewestOfCategory = 5;  // of a category that is judged
// Of the ten nearest, eight at least in every category: fewer changes what customers see.
constexpr double kFaultRecall = 0.8;
// What the defaults of the index are made for.
constexpr double kNoteworthyRecall = 0.95;

}  // namespace

AuditFinding find_fairness(AuditRun& run) {
  AuditFinding finding;
  finding.id = "fairness";
  finding.title = "Fairness of the index";
  const Index& index = run.pool_index();
  if (run.pool().size() <= kAnswersCompared) {
    finding.summary = fmt::format("Not measured: {} pictures are too few to have {} neighbours.",
                                  run.pool().size(), kAnswersCompared);
    return finding;
  }
  SearchOptions approximate;
  approximate.k = kAnswersCompared;
  approximate.threads = 0;
  SearchOptions exact = approximate;
  exact.exact = true;
  const auto found = index.search_batch(run.pool_rows(), approximate);
  const auto truth = index.search_batch(run.pool_rows(), exact);

  std::vector<float> recalls(found.size());
  std::map<std::int32_t, std::vector<float>> by_label;
  for (std::size_t i = 0; i < found.size(); ++i) {
    // Equal distances are equally right, whatever their ids.
    const float reach = truth[i].back().distance;
    const auto within_reach = std::ranges::count_if(
        found[i], [&](const Neighbor& neighbour) { return neighbour.distance <= reach; });
    recalls[i] = static_cast<float>(within_reach) / static_cast<float>(truth[i].size());
    by_label[run.label(run.pool()[i])].push_back(recalls[i]);
  }
  const Estimate all = run.estimate(recalls);
  finding.numbers.push_back({"recall@10 of the index", all,
                             "How many of the ten nearest pictures an index with default options "
                             "finds; every picture asks."});
  Estimate worst;
  std::string worst_name;
  for (const auto& [label, values] : by_label) {
    if (label < 0 || values.size() < kFewestOfCategory) continue;
    const Estimate estimate = run.estimate(values);
    if (!worst_name.empty() && estimate.mean >= worst.mean) continue;
    worst = estimate;
    worst_name = run.label_names()[static_cast<std::size_t>(label)];
  }
  if (worst_name.empty()) {
    finding.summary = fmt::format(
        "The index finds {} of the ten nearest; not measured by category: none has {} pictures.",
        percent(all.mean), kFewestOfCategory);
    return finding;
  }
  finding.numbers.push_back({fmt::format("recall@10 of \"{}\"", worst_name), worst,
                             "The same where it is lowest: the worst category."});
  finding.verdict = worst.high < kFaultRecall        ? Verdict::kFault
                    : worst.mean < kNoteworthyRecall ? Verdict::kNoteworthy
                                                     : Verdict::kSound;
  finding.summary = fmt::format(
      "Against exact search the index finds {} of the ten nearest, and {} in its worst category, "
      "\"{}\".",
      percent(all.mean), percent(worst.mean), worst_name);
  if (finding.verdict != Verdict::kSound) {
    finding.remedy =
        "Search with a larger breadth, or with the wish for a recall (SearchOptions::recall), or "
        "exactly within a category by a filter; vsx compact rebuilds an index that many changes "
        "have worn.";
  }
  return finding;
}

}  // namespace vsearch::eval

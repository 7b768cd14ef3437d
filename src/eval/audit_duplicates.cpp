// Near-duplicates between queries and gallery: right answers that no encoder could miss.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "eval/audit_findings.h"
#include "eval/near_duplicates.h"
#include "util/with_commas.h"

namespace vsearch::eval {
namespace {

constexpr std::uint32_t kAnswers = 20;
// In points of R@1: more than that is the difference between two encoders of a table.
constexpr double kFaultGain = 0.05;
constexpr double kNoteworthyDuplicates = 0.01;

class Looks {
 public:
  explicit Looks(const AuditRun& run) : run_(run) {}

  bool are_near(std::uint32_t a, std::uint32_t b) { return are_alike(of(a), of(b)); }

 private:
  const Look& of(std::uint32_t picture) {
    const auto [look, is_new] = looks_.try_emplace(picture);
    if (is_new) look->second = look_at(run_.small_picture(picture, kLookPx));
    return look->second;
  }

  const AuditRun& run_;
  std::map<std::uint32_t, Look> looks_;
};

}  // namespace

AuditFinding find_duplicates(AuditRun& run) {
  AuditFinding finding;
  finding.id = "duplicates";
  finding.title = "Near-duplicates of queries";
  const RetrievalScores scores = run.clean_scores(kAnswers);
  Looks looks(run);
  const std::size_t count = run.queries().size();
  std::vector<std::vector<std::uint32_t>> duplicates(count);
  std::vector<float> first_is_duplicate(count, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < count; ++i) {
    const auto& answers = scores.answers[i];
    for (const RankedAnswer& answer : answers) {
      if (answer.similarity < kNearCosine) break;
      if (looks.are_near(run.queries()[i], run.gallery()[answer.row])) {
        duplicates[i].push_back(answer.row);
      }
    }
    if (answers.empty() || scores.right_answers[i] == 0) continue;
    const bool flatters =
        answers[0].right && !duplicates[i].empty() && duplicates[i].front() == answers[0].row;
    first_is_duplicate[i] = flatters ? 1.0F : 0.0F;
  }
  const Found clean = run.find(run.query_rows());
  const Found without = run.find(run.query_rows(), duplicates);
  // What only near-duplicates answer is not asked again: all that was right there is theirs.
  std::vector<float> gain = clean.right;
  std::vector<float> clean_of_both = clean.right;
  std::size_t only_duplicates = 0;
  std::size_t of_both = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::isnan(without.right[i])) {
      gain[i] -= without.right[i];
      ++of_both;
    } else if (!std::isnan(clean.right[i])) {
      clean_of_both[i] = without.right[i];
      ++only_duplicates;
    }
  }

  const Estimate share = run.estimate(first_is_duplicate);
  const Estimate flattered = run.estimate(gain);
  finding.numbers = {
      {"right by a near-duplicate", share,
       "Queries whose right first answer is nearly the same picture: cosine of at least 0.98, "
       "a perceptual hash that differs in at most 8 of 64 bits, and the same mean colour."},
      {"R@1, clean", run.estimate(clean.right),
       "Queries as they are: how often the first answer is right."},
      {"R@1, without near-duplicates", run.estimate(without.right),
       "The same, each query's near-duplicates passed over."},
      {"R@1 gained by near-duplicates", flattered,
       "The difference; of queries that nothing else answers, all of it."}};
  finding.verdict = flattered.low > kFaultGain           ? Verdict::kFault
                    : share.mean > kNoteworthyDuplicates ? Verdict::kNoteworthy
                                                         : Verdict::kSound;
  finding.summary = fmt::format("{} of the queries find a near-duplicate of themselves first",
                                percent(share.mean));
  if (of_both > 0) {
    finding.summary += fmt::format("; without these R@1 is {}, with them {}",
                                   percent(run.estimate(without.right).mean),
                                   percent(run.estimate(clean_of_both).mean));
  }
  if (only_duplicates > 0) {
    finding.summary +=
        fmt::format("; of {} nothing else is a right answer", util::with_commas(only_duplicates));
  }
  finding.summary += ".";
  if (finding.verdict != Verdict::kSound) {
    finding.remedy =
        "Take them out of the gallery or out of the queries: vsx duplicates lists those of a "
        "catalogue, and vsx sync can skip them.";
  }
  for (std::size_t i = 0; i < count && finding.examples.size() < run.options().examples; ++i) {
    if (!(first_is_duplicate[i] > 0)) continue;
    const std::uint32_t query = run.queries()[i];
    const std::uint32_t answer = run.gallery()[duplicates[i].front()];
    AuditExample& example = finding.examples.emplace_back();
    example.caption = fmt::format("{}: nearly the same picture, cosine {:.3f}",
                                  run.label_name(query), scores.answers[i][0].similarity);
    example.pictures = {run.shown(query, "query"), run.shown(answer, "found first")};
  }
  return finding;
}

}  // namespace vsearch::eval

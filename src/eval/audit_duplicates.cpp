// Near-duplicates between queries and gallery: right answers that no encoder could miss.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <map>
#include <utility>

#include "eval/audit_findings.h"
#include "eval/lab.h"

namespace vsearch::eval {
namespace {

// What is nearer than this to a query, and looks the same to a hash that knows nothing of the
// encoder, is the same picture: either alone holds of pictures that are merely alike. The hash sees
// no colours, and the same product in another colour is no duplicate.
constexpr float kNearCosine = 0.98F;
constexpr int kNearBits = 8;         // of 64
constexpr float kNearColour = 8.0F;  // of L*a*b*, between means: another exposure
constexpr std::uint32_t kAnswers = 20;
constexpr std::uint32_t kHashPx = 72;
// In points of R@1: more than that is the difference between two encoders of a table.
constexpr double kFaultGain = 0.05;
constexpr double kNoteworthyShare = 0.01;

// Whether each of 8 x 8 cells is darker than the one right of it ("dHash").
std::uint64_t difference_hash(const Image& image) {
  const Image small = resize(image.view(), 9, 8);
  std::uint64_t hash = 0;
  const auto lightness = [&](std::size_t x, std::size_t y) {
    const std::uint8_t* rgb = small.pixels.data() + (y * 9 + x) * 3;
    return 299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2];
  };
  for (std::size_t y = 0; y < 8; ++y) {
    for (std::size_t x = 0; x < 8; ++x) {
      hash = hash << 1 | (lightness(x, y) < lightness(x + 1, y) ? 1U : 0U);
    }
  }
  return hash;
}

class Looks {
 public:
  explicit Looks(const AuditRun& run) : run_(run) {}

  bool are_alike(std::uint32_t a, std::uint32_t b) {
    const Look& first = of(a);
    const Look& second = of(b);
    return std::popcount(first.hash ^ second.hash) <= kNearBits &&
           distance(first.mean, second.mean) <= kNearColour;
  }

 private:
  struct Look {
    std::uint64_t hash = 0;
    Lab mean;
  };

  const Look& of(std::uint32_t picture) {
    const auto [look, is_new] = looks_.try_emplace(picture);
    if (is_new) {
      const Image small = run_.small_picture(picture, kHashPx);
      const Image mean = resize(small.view(), 1, 1);
      look->second = {difference_hash(small), to_lab(mean.pixels.data())};
    }
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
      if (looks.are_alike(run.queries()[i], run.gallery()[answer.row])) {
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
  // Queries that only near-duplicates answer are not asked again: they count in neither.
  std::vector<float> gain(count);
  for (std::size_t i = 0; i < count; ++i) gain[i] = clean.right[i] - without.right[i];

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
      {"R@1 gained by near-duplicates", flattered, "The difference, on the queries of both."}};
  finding.verdict = flattered.low > kFaultGain      ? Verdict::kFault
                    : share.mean > kNoteworthyShare ? Verdict::kNoteworthy
                                                    : Verdict::kSound;
  finding.summary = fmt::format(
      "{} of the queries find a near-duplicate of themselves first; without these R@1 is {}, with "
      "them {}.",
      percent(share.mean), percent(run.estimate(without.right).mean),
      percent(run.estimate(clean.right).mean));
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

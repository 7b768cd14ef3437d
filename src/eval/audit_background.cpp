// Background leakage: whether pictures are found for what stands behind the subject. Queries on
// other backgrounds, as "On Background Bias in Deep Metric Learning" (arXiv 2210.01615) does it,
// and backgrounds without their subjects.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "eval/audit_findings.h"
#include "eval/backgrounds.h"
#include "eval/seeded.h"

namespace vsearch::eval {
namespace {

constexpr std::size_t kFewestSubjects = 20;  // with fewer an interval spans half the scale
// Above a half the background weighs more than the subject.
constexpr double kFaultBackground = 0.5;
// Backgrounds say something of what stands before them: a good encoder uses that a little.
constexpr double kNoteworthyBackground = 0.25;
// The loss on another background. Cut-outs are never perfect, so that a sound encoder loses some
// too; half is more than any of the five losses lost in arXiv 2210.01615, and counts only where
// the background alone is found similar as well.
constexpr double kFaultCutOutLoss = 0.5;
constexpr double kNoteworthyCutOutLoss = 0.25;

enum BackgroundForm : std::size_t { kPlain, kSwapped, kAlone, kSameColours };
static_assert(kSameColours + 1 == kBackgroundForms);

class BackgroundFinding {
 public:
  BackgroundFinding(AuditRun& run, const Subjects& subjects) : run_(run), subjects_(subjects) {
    finding_.id = "background";
    finding_.title = "Background leakage";
  }

  AuditFinding find(Evidence& evidence) {
    choose_donors();
    if (subjects_.found < kFewestSubjects || donors_ < kFewestSubjects) {
      finding_.summary = fmt::format(
          "Not measured: a subject that can be told from its background was found in {} of {} "
          "queries, and {} are needed, of several categories.",
          std::min(subjects_.found, donors_), run_.queries().size(), kFewestSubjects);
      run_.skip_forms(kBackgroundForms);
      return std::move(finding_);
    }
    forms_ = run_.encode_forms(kBackgroundForms, [this](std::size_t query, const Image& picture) {
      return forms_of(query, picture);
    });
    measure(evidence);
    add_examples();
    return std::move(finding_);
  }

 private:
  // Of each query another one, of another category, that gives it its background.
  void choose_donors() {
    Seeded random(run_.options().seed);
    const auto& queries = run_.queries();
    donor_.assign(queries.size(), -1);
    for (std::size_t query = 0; query < queries.size(); ++query) {
      for (int attempt = 0; attempt < 100 && donor_[query] < 0; ++attempt) {
        const std::size_t other = random.below(queries.size());
        if (subjects_.masks[other].values.empty() ||
            run_.label(queries[other]) == run_.label(queries[query])) {
          continue;
        }
        donor_[query] = static_cast<std::int64_t>(other);
      }
      donors_ += donor_[query] >= 0 && !subjects_.masks[query].values.empty() ? 1 : 0;
    }
  }

  // On a plain background, on another one, the background alone, and on another one in the colours
  // of its own.
  std::vector<Image> forms_of(std::size_t query, const Image& picture) const {
    const auto subject = subjects_.of(query, picture);
    if (!subject || donor_[query] < 0) return {};
    const auto donor = static_cast<std::size_t>(donor_[query]);
    const Image other = run_.picture(run_.queries()[donor]);
    const Image swapped = resize(fill_subject(other, *subjects_.of(donor, other)).view(),
                                 picture.width_px, picture.height_px);
    const Image plain =
        plain_picture(picture.width_px, picture.height_px, run_.options().seed + query);
    Image alone = fill_subject(picture, *subject);
    std::vector<Image> forms(kBackgroundForms);
    forms[kPlain] = within(*subject, picture, plain);
    forms[kSwapped] = within(*subject, picture, swapped);
    forms[kSameColours] = within(*subject, picture, match_colours(swapped, picture, *subject));
    forms[kAlone] = std::move(alone);
    return forms;
  }

  void measure(Evidence& evidence) {
    const std::size_t count = run_.queries().size();
    clean_ = run_.find(run_.query_rows());
    // Compared on the same queries.
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_known(forms_[kSwapped].row(i))) {
        clean_.right[i] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    plain_ = run_.find(forms_[kPlain].view());
    swapped_ = run_.find(forms_[kSwapped].view());
    const Found alone = run_.find(forms_[kAlone].view());
    share_.assign(count, std::numeric_limits<float>::quiet_NaN());
    std::vector<float> moved(count, std::numeric_limits<float>::quiet_NaN());
    for (std::size_t i = 0; i < count; ++i) {
      const auto clean = run_.query_rows().row(i);
      const auto to = [&](BackgroundForm form) {
        const auto row = std::as_const(forms_[form]).row(i);
        return is_known(row) ? std::max(run_.centred_cosine(clean, row), 0.0) : 0.0;
      };
      if (!is_known(forms_[kSwapped].row(i))) continue;
      moved[i] = static_cast<float>(1.0 - to(kSameColours));
      const double both = to(kAlone) + to(kSwapped);
      if (both > 0) share_[i] = static_cast<float>(to(kAlone) / both);
    }
    const Estimate clean_recall = run_.estimate(clean_.right);
    const Estimate swapped_recall = run_.estimate(swapped_.right);
    const Estimate share = run_.estimate(share_);
    const Estimate content = run_.estimate(moved);
    evidence.background_content = content.mean;
    finding_.numbers = {
        {"share of the background", share,
         "How much of the similarity of a picture to itself its background alone explains, against "
         "its subject on another background: 0 only the subject counts, 0.5 both as much, 1 only "
         "the background."},
        {"R@1, clean", clean_recall, "Queries as they are: how often the first answer is right."},
        {"R@1, plain background", run_.estimate(plain_.right),
         "The subjects of the queries on a background of one random colour."},
        {"R@1, swapped background", swapped_recall,
         "The subjects on the background of a query of another category."},
        {"R@1, background alone", run_.estimate(alone.right),
         "The subject is filled in with its surroundings: what is still found, the background "
         "found."},
        {"change with the colours kept", content,
         "How far the embedding moves (1 - cosine, seen from the mean) if the background is "
         "another one in the same colours.",
         AuditUnit::kNumber}};

    const Loss lost = run_.loss(clean_.right, swapped_.right);
    judge(share, lost);
    finding_.summary = fmt::format(
        "The background alone explains {} (95 % interval {} to {}) of what makes a picture similar "
        "to itself; on the backgrounds of other categories R@1 goes from {} to {}. Subjects were "
        "found by {}, in {} of {} queries. Method after arXiv 2210.01615.",
        percent(share.mean), percent(share.low), percent(share.high), percent(clean_recall.mean),
        percent(swapped_recall.mean), subjects_.how(), subjects_.found, count);
    if (finding_.verdict == Verdict::kSound) return;
    finding_.remedy =
        "Give crop boxes of the products when they are added (Picture::crop, the column \"crop\" "
        "of a manifest), and crop queries alike; fine-tuning with backgrounds replaced at random "
        "(vsx train --depth full --new-background 0.5) takes the habit off the encoder.";
  }

  void judge(const Estimate& share, const Loss& lost) {
    const bool loses = lost.low > kFaultCutOutLoss && share.mean > kNoteworthyBackground;
    if (share.low > kFaultBackground || loses) {
      finding_.verdict = Verdict::kFault;
    } else if (share.mean > kNoteworthyBackground || lost.share > kNoteworthyCutOutLoss) {
      finding_.verdict = Verdict::kNoteworthy;
    } else {
      finding_.verdict = Verdict::kSound;
    }
  }

  // Those that were right, no longer are, and lean on the background most.
  void add_examples() {
    std::vector<std::size_t> wrong;
    for (std::size_t i = 0; i < share_.size(); ++i) {
      if (clean_.right[i] == 1.0F && swapped_.right[i] == 0.0F) wrong.push_back(i);
    }
    std::ranges::stable_sort(wrong, [&](std::size_t a, std::size_t b) {
      const auto rank = [&](std::size_t i) { return std::isnan(share_[i]) ? 0.0F : share_[i]; };
      return rank(a) > rank(b);
    });
    if (wrong.size() > run_.options().examples) wrong.resize(run_.options().examples);
    for (const std::size_t i : wrong) {
      const std::uint32_t query = run_.queries()[i];
      const std::uint32_t before = run_.gallery()[clean_.first[i].row];
      const std::uint32_t after = run_.gallery()[swapped_.first[i].row];
      AuditExample& example = finding_.examples.emplace_back();
      example.caption = fmt::format("{}: lost on another background", run_.label_name(query));
      example.pictures = {
          run_.shown(query, "query"), run_.shown(before, "found: " + run_.label_name(before)),
          run_.shown(forms_of(i, run_.picture(query))[kSwapped], "on another background"),
          run_.shown(after, "found then: " + run_.label_name(after))};
    }
  }

  AuditRun& run_;
  const Subjects& subjects_;
  AuditFinding finding_;
  std::vector<std::int64_t> donor_;  // [queries], of them; -1: none
  std::size_t donors_ = 0;           // queries that have one, and a subject
  std::vector<Matrix> forms_;
  Found clean_, plain_, swapped_;
  std::vector<float> share_;
};

}  // namespace

AuditFinding find_background(AuditRun& run, const Subjects& subjects, Evidence& evidence) {
  return BackgroundFinding(run, subjects).find(evidence);
}

}  // namespace vsearch::eval

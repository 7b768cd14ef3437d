// Robustness: what phones, messengers and people do to pictures.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "eval/audit_findings.h"
#include "eval/seeded.h"

namespace vsearch::eval {
namespace {

// Of what was right before. A customer who tries twice fails both times in a quarter of the cases
// at a half; a fifth is what good encoders lose under changes as strong as these.
constexpr double kFaultLoss = 0.5;
constexpr double kNoteworthyLoss = 0.2;

struct Change {
  std::string_view name;
  std::string_view meaning;
};

constexpr std::array<Change, kRobustnessForms> kChanges{{
    {"crop", "A window of half the area, anywhere."},
    {"rotated 15 degrees", "A phone held askew."},
    {"rotated 90 degrees", "A picture whose orientation was lost."},
    {"blurred", "Gaussian blur, with a deviation of 1.5 % of the shorter side."},
    {"JPEG of quality 10", "Saved and sent many times."},
    {"noise", "Gaussian noise, with a deviation of a tenth of the range."},
    {"low light", "A tenth of the light, and a sensor's noise."},
    {"text overlay", "The name of another category written across: a typographic attack."},
}};

class RobustnessFinding {
 public:
  explicit RobustnessFinding(AuditRun& run) : run_(run) {
    finding_.id = "robustness";
    finding_.title = "Robustness";
  }

  AuditFinding find() {
    const std::vector<Matrix> forms = run_.encode_forms(
        kChanges.size(),
        [this](std::size_t query, const Image& picture) { return forms_of(query, picture); });
    const Found clean = run_.find(run_.query_rows());
    finding_.numbers.push_back({"R@1, clean", run_.estimate(clean.right),
                                "Queries as they are: how often the first answer is right."});
    std::vector<Found> found;
    Loss worst;
    std::size_t worst_change = 0;
    for (std::size_t i = 0; i < kChanges.size(); ++i) {
      found.push_back(run_.find(forms[i].view()));
      finding_.numbers.push_back({fmt::format("R@1, {}", kChanges[i].name),
                                  run_.estimate(found[i].right), std::string(kChanges[i].meaning)});
      const Loss loss = run_.loss(clean.right, found[i].right);
      if (loss.low > kFaultLoss) faults_.emplace_back(kChanges[i].name);
      if (loss.share <= worst.share) continue;
      worst = loss;
      worst_change = i;
    }
    judge(worst, worst_change);
    add_examples(clean, found[worst_change], worst_change);
    return std::move(finding_);
  }

 private:
  std::vector<Image> forms_of(std::size_t query, const Image& picture) const {
    const std::uint64_t seed = run_.options().seed + query;
    Image crop = crop_half(picture, seed);
    if (run_.encoder().info().preprocessing.resize_edge == ResizeEdge::kNone) {
      crop = resize(crop.view(), picture.width_px, picture.height_px);
    }
    std::vector<Image> forms;
    forms.push_back(std::move(crop));
    forms.push_back(rotate(picture, 15.0F));
    forms.push_back(rotate_quarter(picture));
    forms.push_back(blur(picture, 0.015F));
    forms.push_back(recompress(picture, 10));
    forms.push_back(add_noise(picture, 25.5F, seed));
    forms.push_back(darken(picture, 0.1F, seed));
    forms.push_back(write_across(picture, other_name(query)));
    return forms;
  }

  // The name of a category that the query is not of.
  std::string other_name(std::size_t query) const {
    const std::vector<std::string>& names = run_.label_names();
    Seeded random(run_.options().seed + query);
    for (int attempt = 0; attempt < 100; ++attempt) {
      const std::size_t label = random.below(std::max<std::size_t>(1, names.size()));
      if (label >= names.size()) break;
      const bool own = static_cast<std::int32_t>(label) == run_.label(run_.queries()[query]);
      if (!own && !names[label].empty()) return names[label];
    }
    return "another";
  }

  void judge(const Loss& worst, std::size_t change) {
    finding_.verdict = !faults_.empty()                ? Verdict::kFault
                       : worst.share > kNoteworthyLoss ? Verdict::kNoteworthy
                                                       : Verdict::kSound;
    finding_.summary = fmt::format(
        "The change that costs most is \"{}\": {} of what was right is "
        "lost (95 % sure of at least {}).",
        kChanges[change].name, percent(worst.share), percent(std::max(worst.low, 0.0)));
    if (faults_.size() > 1) {
      finding_.summary += " More than half is lost under:";
      for (const std::string& name : faults_) finding_.summary += fmt::format(" {};", name);
      finding_.summary.back() = '.';
    }
    if (finding_.verdict == Verdict::kSound) return;
    finding_.remedy =
        "Put several pictures of a product into the catalogue, taken as customers take them: an "
        "item's score is that of its best picture. Fine-tuning with such changes as augmentation "
        "(vsx train --depth full) makes an encoder used to them.";
  }

  void add_examples(const Found& clean, const Found& changed, std::size_t change) {
    for (std::size_t i = 0; i < clean.right.size(); ++i) {
      if (finding_.examples.size() == run_.options().examples) break;
      if (clean.right[i] != 1.0F || changed.right[i] != 0.0F) continue;
      const std::uint32_t query = run_.queries()[i];
      const std::uint32_t answer = run_.gallery()[changed.first[i].row];
      AuditExample& example = finding_.examples.emplace_back();
      example.caption = fmt::format("{}: lost by the change \"{}\"", run_.label_name(query),
                                    kChanges[change].name);
      example.pictures = {run_.shown(query, "query"),
                          run_.shown(forms_of(i, run_.picture(query))[change], "changed"),
                          run_.shown(answer, "found then: " + run_.label_name(answer))};
    }
  }

  AuditRun& run_;
  AuditFinding finding_;
  std::vector<std::string> faults_;
};

}  // namespace

AuditFinding find_robustness(AuditRun& run) {
  return RobustnessFinding(run).find();
}

}  // namespace vsearch::eval

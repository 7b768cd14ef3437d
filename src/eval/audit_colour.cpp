// Colour bias: whether pictures are found for their colour instead of for what they show.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "eval/audit_findings.h"
#include "eval/backgrounds.h"
#include "eval/colour_conflicts.h"
#include "eval/linear_fit.h"
#include "eval/picture_colours.h"

namespace vsearch::eval {
namespace {

constexpr std::size_t kFewestConflicts = 20;  // queries; with fewer an interval says nothing
constexpr std::size_t kFewestToFit = 50;      // for fits with 18 numbers
constexpr double kLeastChroma = 3.0;          // mean: below it pictures are grey to the eye
// A coin would let colour win half of the conflicts. Above that colour draws more than the class.
constexpr double kFaultWins = 0.6;
constexpr double kNoteworthyWins = 0.35;
// Of the variance of the embeddings: with half of it colour outweighs all else that is in them.
constexpr double kFaultExplained = 0.5;
constexpr double kNoteworthyExplained = 0.3;
// Of what was right, lost in grey and in other hues alike.
constexpr double kFaultGreyLoss = 0.5;
constexpr double kNoteworthyGreyLoss = 0.2;
// Of fewer pictures whose subject could be told it says nothing that what is lost with it is
// little.
constexpr std::size_t kFewestRecoloured = 20;

enum ColourForm : std::size_t { kGrey, kQuarter, kHalf, kSubject };
static_assert(kSubject + 1 == kColourForms);

const DatasetField* colour_field(const Dataset& dataset, const std::string& wanted) {
  constexpr std::array<std::string_view, 3> kUsual{"colour", "color", "baseColour"};
  const auto found = std::ranges::find_if(dataset.fields, [&](const DatasetField& field) {
    return wanted.empty() ? std::ranges::count(kUsual, field.name) > 0 : field.name == wanted;
  });
  return found == dataset.fields.end() ? nullptr : &*found;
}

class ColourFinding {
 public:
  ColourFinding(AuditRun& run, const Subjects& subjects) : run_(run), subjects_(subjects) {
    finding_.id = "colour";
    finding_.title = "Colour bias";
  }

  AuditFinding find(Evidence& evidence) {
    colours_ = pool_colours(run_);
    double chroma = 0;
    for (const PictureColour& colour : colours_)
      chroma += std::hypot(colour.subject.a, colour.subject.b);
    chroma /= static_cast<double>(colours_.size());
    if (chroma < kLeastChroma) {
      finding_.summary = "Not measured: the pictures have no colour.";
      run_.skip_forms(kColourForms);
      return std::move(finding_);
    }
    forms_ = run_.encode_forms(kColourForms, [this](std::size_t query, const Image& picture) {
      return forms_of(query, picture);
    });
    measure_losses(evidence);
    measure_conflicts();
    measure_fits();
    judge();
    add_examples();
    return std::move(finding_);
  }

 private:
  std::vector<Image> forms_of(std::size_t query, const Image& picture) const {
    std::vector<Image> forms(kColourForms);
    forms[kGrey] = greyscale(picture);
    forms[kQuarter] = rotate_hue(picture, 90.0F);
    forms[kHalf] = rotate_hue(picture, 180.0F);
    const auto subject = subjects_.of(query, picture);
    if (subject) forms[kSubject] = recolour_subject(picture, *subject);
    return forms;
  }

  void add(const std::string& name, const Estimate& estimate, const std::string& meaning,
           AuditUnit unit = AuditUnit::kShare) {
    finding_.numbers.push_back({name, estimate, meaning, unit});
  }

  void measure_losses(Evidence& evidence) {
    clean_ = run_.find(run_.query_rows());
    add("R@1, clean", run_.estimate(clean_.right),
        "Queries as they are: how often the first answer is right.");
    constexpr std::array<std::pair<std::string_view, std::string_view>, kColourForms> kNames{{
        {"R@1, greyscale", "Queries in greys of the same lightness."},
        {"R@1, hues turned by 90 degrees", "All colours of the queries turned in CIE L*a*b*."},
        {"R@1, hues turned by 180 degrees", "Likewise, to the opposite."},
        {"R@1, subject recoloured", "The subject alone in another colour."},
    }};
    for (std::size_t form = 0; form < kColourForms; ++form) {
      const Found found = run_.find(forms_[form].view());
      add(std::string(kNames[form].first), run_.estimate(found.right),
          std::string(kNames[form].second));
      losses_[form] = run_.loss(clean_.right, found.right);
    }
    std::vector<float> moved;
    for (std::size_t i = 0; i < run_.queries().size(); ++i) {
      const auto row = std::as_const(forms_[kSubject]).row(i);
      if (!is_known(row)) continue;
      moved.push_back(static_cast<float>(1.0 - run_.centred_cosine(run_.query_rows().row(i), row)));
    }
    recoloured_ = moved.size();
    if (moved.empty()) return;
    const Estimate recoloured = run_.estimate(moved);
    evidence.subject_recoloured = recoloured.mean;
    add("change with the subject recoloured", recoloured,
        "How far the embedding moves (1 - cosine, seen from the mean) if the subject alone gets "
        "another colour.",
        AuditUnit::kNumber);
  }

  void measure_conflicts() {
    const DatasetField* const field = colour_field(run_.part(), run_.options().colour_field);
    if (field != nullptr) {
      const Conflicts conflicts = conflicts_by_field(run_, *field);
      if (take(conflicts, fmt::format("by the field \"{}\"", field->name))) return;
    }
    take(conflicts_by_colour(run_, colours_, true), "by the colour of the subject");
    take(conflicts_by_colour(run_, colours_, false), "by the mean colour");
  }

  bool take(const Conflicts& conflicts, const std::string& how) {
    if (conflicts.queries < kFewestConflicts) return false;
    const Estimate wins = run_.estimate(conflicts.colour_wins);
    add("conflicts that colour wins, " + how, wins,
        "Of triplets of a query, its class in another colour, and another class in its colour: how "
        "often the latter is nearer. A coin would give 50 %.");
    if (!wins_ || wins.low > wins_->low) {
      wins_ = wins;
      won_ = conflicts.won;
    }
    return true;
  }

  void measure_fits() {
    if (run_.pool().size() < kFewestToFit) return;
    const std::uint64_t seed = run_.options().seed;
    explained_ = run_.estimate(
        cross_validated_fit(colour_features(colours_).view(), run_.pool_rows(), seed));
    add("embedding explained by colour", *explained_,
        "The share of the variance of the embeddings that the mean colours of picture and subject "
        "predict (cross-validated).");
    add("colour in the embedding, R2",
        run_.estimate(cross_validated_fit(run_.pool_rows(), whole_colours(colours_).view(), seed)),
        "How well the mean colour (L*a*b*) can be read off the embedding by a linear fit "
        "(cross-validated): 1 exactly, 0 not at all. That it can be read does not mean that it "
        "decides.",
        AuditUnit::kNumber);
  }

  void judge() {
    double least_loss = std::min(losses_[kGrey].low, losses_[kHalf].low);
    if (recoloured_ >= kFewestRecoloured) least_loss = std::min(least_loss, losses_[kSubject].low);
    const double most_loss =
        std::max({losses_[kGrey].share, losses_[kQuarter].share, losses_[kHalf].share});
    const double wins = wins_ ? wins_->mean : 0;
    const double explained = explained_ ? explained_->mean : 0;
    if ((wins_ && wins_->low > kFaultWins) || (explained_ && explained_->low > kFaultExplained) ||
        least_loss > kFaultGreyLoss) {
      finding_.verdict = Verdict::kFault;
    } else if (wins > kNoteworthyWins || explained > kNoteworthyExplained ||
               most_loss > kNoteworthyGreyLoss) {
      finding_.verdict = Verdict::kNoteworthy;
    } else {
      finding_.verdict = Verdict::kSound;
    }
    finding_.summary = fmt::format(
        "{}; colour explains {} of the embeddings; of what was right, {} is lost in grey and {} "
        "with opposite hues.",
        wins_
            ? fmt::format("Where class and colour disagree, colour wins in {} of the triplets "
                          "(95 % interval {} to {})",
                          percent(wins_->mean), percent(wins_->low), percent(wins_->high))
            : std::string("Class and colour hardly ever disagree here (too few conflict triplets)"),
        explained_ ? percent(explained) : "an unknown share", percent(losses_[kGrey].share),
        percent(losses_[kHalf].share));
    if (finding_.verdict == Verdict::kSound) return;
    finding_.remedy =
        "Fine-tuning with colour jitter and greyscale, where colour is no part of the label, "
        "(vsx train --depth full) takes the habit off the encoder. Where customers do mean the "
        "colour, declare it as a field and filter by it (vsx fields --declare colour:text, --where "
        "\"colour = 'red'\").";
  }

  void add_examples() {
    for (const Conflict& conflict : won_) {
      if (finding_.examples.size() == run_.options().examples) break;
      const std::uint32_t query = run_.queries()[conflict.query];
      const std::uint32_t other = run_.gallery()[conflict.same_colour];
      AuditExample& example = finding_.examples.emplace_back();
      example.caption =
          fmt::format("{}: {} in its colour is nearer, by {:.3f} of cosine", run_.label_name(query),
                      run_.label_name(other), conflict.margin);
      example.pictures = {
          run_.shown(query, "query"), run_.shown(other, "nearer: " + run_.label_name(other)),
          run_.shown(run_.gallery()[conflict.same_class], "farther: " + run_.label_name(query))};
    }
  }

  AuditRun& run_;
  const Subjects& subjects_;
  AuditFinding finding_;
  std::vector<PictureColour> colours_;  // of the pool
  std::vector<Matrix> forms_;
  Found clean_;
  std::array<Loss, kColourForms> losses_{};
  std::size_t recoloured_ = 0;  // queries whose subject could be told
  std::optional<Estimate> wins_;
  std::vector<Conflict> won_;
  std::optional<Estimate> explained_;
};

}  // namespace

AuditFinding find_colour(AuditRun& run, const Subjects& subjects, Evidence& evidence) {
  return ColourFinding(run, subjects).find(evidence);
}

}  // namespace vsearch::eval

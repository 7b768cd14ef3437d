// What was learned, from what, and how far it went.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report_numbers.h"
#include "eval/report_parts.h"
#include "eval/report_plots.h"
#include "eval/report_sections.h"
#include "vsearch/trainer.h"

namespace vsearch::report {
namespace {

constexpr std::size_t kMostSuspects = 24;
constexpr std::size_t kMostLeaks = 12;

Markup epoch_figure(std::string_view title, std::string_view how_to_read,
                    const std::vector<EpochCurve>& curves, std::uint32_t best, bool shares) {
  Markup plot = epoch_plot(curves, best, shares);
  if (plot.empty()) return plot;
  std::vector<std::string> names;
  names.reserve(curves.size());
  for (const EpochCurve& curve : curves) names.push_back(curve.name);
  if (names.size() > 1) plot += curve_legend(names);
  return figure(title, how_to_read, plot);
}

Markup training_figures(const TrainReport& training) {
  EpochCurve map{"mAP", {}, {}};
  EpochCurve recall{"R@1", {}, {}};
  EpochCurve loss{"loss", {}, {}};
  for (const TrainEpoch& epoch : training.epochs) {
    for (EpochCurve* const curve : {&map, &recall}) curve->epochs.push_back(epoch.epoch);
    map.values.push_back(epoch.held_out_map);
    recall.values.push_back(epoch.held_out_recall_at_1);
    if (epoch.epoch == 0) continue;  // the start has none
    loss.epochs.push_back(epoch.epoch);
    loss.values.push_back(epoch.loss);
  }
  return tag("div", {{"class", "charts"}},
             epoch_figure("What is held out, after each epoch",
                          "Of pictures that were not learned from. The epoch with the highest mAP "
                          "is written.",
                          {map, recall}, training.best_epoch, true),
             epoch_figure("The loss, over each epoch",
                          "What is made small. A loss that falls while the other plot does too "
                          "learns by heart.",
                          {loss}, training.best_epoch, false));
}

Shot training_shot(const Dataset* dataset, std::uint32_t picture, const ReportOptions& options) {
  Shot shot;
  if (dataset == nullptr || picture >= dataset->pictures.size()) {
    shot.name = fmt::format("picture {}", picture);
    return shot;
  }
  shot.name = dataset->pictures[picture].path;
  shot.picture = thumbnail_of(*dataset, picture, options.pictures_px);
  return shot;
}

Markup titled_shots(std::string_view title, std::string_view text, const std::vector<Shot>& shots) {
  return join(tag("h3", {}, title), paragraph(text),
              tag("div", {{"class", "rows"}}, picture_row("", Shot{}, shots)));
}

Markup suspects_of(const TrainingData& data, const Dataset* dataset, const ReportOptions& options) {
  if (data.suspects.empty()) return {};
  std::vector<Shot> shots;
  for (const TrainingData::Suspect& suspect : data.suspects) {
    if (shots.size() == kMostSuspects) break;
    shots.push_back(training_shot(dataset, suspect.picture, options));
    shots.back().caption = fmt::format("{}: looks like {}", suspect.label, suspect.looks_like);
    shots.back().note = fmt::format("{:.2f} nearer", suspect.margin);
  }
  return titled_shots(
      "Labels worth a look",
      fmt::format("{} nearer to the mean of another class than to that of their own, as the start "
                  "model sees them; the furthest first. Some are hard, some are labelled wrong.",
                  count_of(data.suspect_count, "picture is", "pictures are")),
      shots);
}

Markup rare_classes(const TrainingData& data) {
  if (data.rare.empty()) return {};
  Table rows{
      fmt::format("{} of fewer than 4 pictures", count_of(data.rare_count, "class", "classes")),
      {text_cell("class"), text_cell("pictures")},
      {}};
  for (const TrainingData::Rare& one : data.rare) {
    rows.rows.push_back({text_cell(one.name), text_cell(with_commas(one.pictures))});
  }
  return table(rows);
}

Markup leaks_of(const TrainingData& data, const Dataset* dataset, const ReportOptions& options) {
  if (data.leaks.empty()) return {};
  std::vector<Shot> shots;
  for (const TrainingData::Leak& leak : data.leaks) {
    if (shots.size() == kMostLeaks) break;
    shots.push_back(training_shot(dataset, leak.picture, options));
    shots.back().caption = "as " + leak.of;
  }
  return titled_shots("Not learned from",
                      fmt::format("{} of pictures that are measured with.",
                                  count_of(data.leak_count, "near-duplicate", "near-duplicates")),
                      shots);
}

}  // namespace

Markup training_section(const TrainReport& training, const Dataset* dataset,
                        const ReportOptions& options) {
  const TrainingData& data = training.data;
  const std::uint32_t last = training.epochs.empty() ? 0 : training.epochs.back().epoch;
  std::string text =
      fmt::format("Learned from {} of {}, ", count_of(data.pictures, "picture", "pictures"),
                  count_of(data.classes, "class", "classes"));
  const bool has_epochs = training.head == HeadKind::kLearned;
  text += has_epochs ? fmt::format("by {}, at the depth {}. Epoch {} of {} was written",
                                   loss_name(training.loss), depth_name(training.depth),
                                   training.best_epoch, last)
                     : fmt::format("a head of kind {}", head_name(training.head));
  if (training.mixture < 1) {
    text +=
        fmt::format(", its weights mixed with {} of the start's", percent(1 - training.mixture));
  }
  text += ".";
  if (std::isfinite(training.held_out_map) && training.held_out_map > 0) {
    text += fmt::format(" It finds what is held out with mAP {}.", percent(training.held_out_map));
  }
  if (data.held_out > 0) {
    text += fmt::format(" {} held out to measure with{}.",
                        count_of(data.held_out, "picture was", "pictures were"),
                        data.held_out_classes_are_new ? ", of classes that are not learned" : "");
  }
  Markup content = paragraph(text);
  if (!training.stopped.empty()) content += remark("Ended early: " + training.stopped + ".");
  if (has_epochs) content += training_figures(training);
  content += join(suspects_of(data, dataset, options), rare_classes(data),
                  leaks_of(data, dataset, options));
  return section("training", "What was learned", content);
}

}  // namespace vsearch::report

#include "train_display.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "console.h"
#include "failures.h"

namespace vsx {
namespace {

using namespace std::chrono_literals;

constexpr auto kTrainBarInterval = 100ms;
constexpr auto kTrainLineInterval = 5s;
constexpr std::size_t kWidestTrainBar = 24;
constexpr std::size_t kNarrowestTrainBar = 6;

std::string picture_path(const vsearch::Dataset& dataset, std::uint32_t picture) {
  return picture < dataset.pictures.size() ? dataset.pictures[picture].path : "?";
}

// Of all epochs.
std::uint64_t steps_done(const vsearch::TrainState& state) {
  return (std::uint64_t{state.epoch} - 1) * state.steps + state.step;
}

void tell_training_data(const vsearch::TrainingData& data, const vsearch::Dataset& dataset) {
  std::string text = fmt::format(
      "learning from {} of {} in {}", counted(data.pictures, "picture"),
      data.classes == 1 ? "1 class" : fmt::format("{} classes", with_commas(data.classes)),
      dataset.name);
  if (data.held_out == 0) {
    text += "; nothing is held out to measure with";
  } else {
    text += fmt::format("; held out to measure with: {}{}", counted(data.held_out, "picture"),
                        data.held_out_classes_are_new ? " of classes that are not learned" : "");
  }
  say(text);

  std::vector<std::string> lines;
  for (const auto& rare : data.rare) {
    lines.push_back(fmt::format("{}: {}", rare.name, counted(rare.pictures, "picture")));
  }
  if (!lines.empty()) tell_list("classes with few pictures to learn from:", lines);
  lines.clear();
  for (const auto& suspect : data.suspects) {
    lines.push_back(fmt::format("{}: labelled '{}', looks like '{}', which is nearer by {:.2f}",
                                picture_path(dataset, suspect.picture), suspect.label,
                                suspect.looks_like, suspect.margin));
  }
  if (!lines.empty()) {
    tell_list("labels worth a look, as the start model sees their pictures:", lines);
  }
  lines.clear();
  for (const auto& leak : data.leaks) {
    lines.push_back(fmt::format("{}: of {}", picture_path(dataset, leak.picture), leak.of));
  }
  if (!lines.empty()) {
    tell_list("not learned from, being near-duplicates of pictures that are measured with:", lines);
  }
}

}  // namespace

TrainDisplay::TrainDisplay(const vsearch::Dataset& dataset, bool quiet)
    : dataset_(dataset),
      quiet_(quiet),
      terminal_(is_terminal(STDERR_FILENO)),
      shown_(Clock::now()),
      first_seen_(shown_) {
  encoding_.emplace("encoding", "pictures", quiet);
}

TrainDisplay::~TrainDisplay() {
  show_status({});
}

bool TrainDisplay::update(const vsearch::TrainState& state) {
  if (state.epoch == 0) {
    if (!encoding_) {  // learning is over
      show_status({});
      signals_.reset();
      encoding_.emplace("taking words along", "pictures", quiet_);
    }
    return encoding_->update(state.step, state.steps);
  }
  if (encoding_) begin_learning(state);
  const Clock::time_point now = Clock::now();
  // What is measured after an epoch does not count.
  if (first_epoch_ == 0 || (state.epoch != first_epoch_ && state.steps > 1)) {
    first_epoch_ = state.epoch;
    first_step_ = steps_done(state);
    first_seen_ = now;
  }
  const auto interval =
      terminal_ ? Clock::duration(kTrainBarInterval) : Clock::duration(kTrainLineInterval);
  if (!quiet_ && now - shown_ >= interval) {
    shown_ = now;
    if (terminal_) {
      show_status(bar(state));
    } else {
      say(line(state));
    }
  }
  return !StopSignals::requested();
}

void TrainDisplay::begin_learning(const vsearch::TrainState& state) {
  encoding_.reset();
  signals_.emplace();
  if (!quiet_ && state.data != nullptr) tell_training_data(*state.data, dataset_);
}

double TrainDisplay::pictures_per_second(const vsearch::TrainState& state) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - first_seen_).count();
  const std::uint64_t done = steps_done(state);
  if (state.data == nullptr || done <= first_step_ || seconds <= 0) return 0;
  // An epoch goes once through the pictures.
  const double a_step =
      static_cast<double>(state.data->pictures) / static_cast<double>(state.steps);
  return static_cast<double>(done - first_step_) * a_step / seconds;
}

std::string TrainDisplay::bar(const vsearch::TrainState& state) const {
  const std::string title = fmt::format("learning, epoch {} of {}", state.epoch, state.epochs);
  std::string numbers = fmt::format("  {} of {} steps  loss {:.3f}", with_commas(state.step),
                                    with_commas(state.steps), state.loss);
  if (const double rate = pictures_per_second(state); rate > 0) {
    numbers += "  " + rate_text(rate, "pictures");
  }
  numbers += "  " + clock_time(state.seconds_left) + " left";
  // One column stays free: a full line would wrap on some terminals and could not be erased.
  const std::size_t width = terminal_width(STDERR_FILENO) - 1;
  const std::size_t taken = title.size() + numbers.size() + 3;
  if (width < taken + kNarrowestTrainBar) return (title + numbers).substr(0, width);
  const std::size_t cells = std::min(width - taken, kWidestTrainBar);
  const double share = static_cast<double>(state.step) / static_cast<double>(state.steps);
  const auto full = std::min(cells, static_cast<std::size_t>(share * static_cast<double>(cells)));
  return fmt::format("{} [{:=<{}}{:-<{}}]{}", title, "", full, "", cells - full, numbers);
}

std::string TrainDisplay::line(const vsearch::TrainState& state) const {
  std::string text =
      fmt::format("learning, epoch {} of {}, step {} of {}, loss {:.3f}", state.epoch, state.epochs,
                  with_commas(state.step), with_commas(state.steps), state.loss);
  if (const double rate = pictures_per_second(state); rate > 0) {
    text += ", " + rate_text(rate, "pictures");
  }
  return text + fmt::format(", {} left", clock_time(state.seconds_left));
}

}  // namespace vsx

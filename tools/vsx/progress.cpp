#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "console.h"

namespace vsx {
namespace {

using namespace std::chrono_literals;

constexpr auto kBarInterval = 100ms;
constexpr auto kLineInterval = 5s;
// The rate is that of the last seconds, so that the time left follows a machine that slows down.
constexpr auto kRateWindow = 15s;
constexpr std::size_t kSamples = 1000;
constexpr std::size_t kWidestBar = 40;
constexpr std::size_t kNarrowestBar = 8;

std::string time_left(std::uint64_t remaining, double rate) {
  return clock_time(static_cast<double>(remaining) / rate);
}

}  // namespace

ProgressDisplay::ProgressDisplay(std::string verb, std::string unit, bool quiet)
    : verb_(std::move(verb)),
      unit_(std::move(unit)),
      quiet_(quiet),
      terminal_(is_terminal(STDERR_FILENO)),
      begin_(Clock::now()),
      shown_(begin_) {}

ProgressDisplay::~ProgressDisplay() {
  show_status({});
}

double ProgressDisplay::seconds() const {
  return std::chrono::duration<double>(Clock::now() - begin_).count();
}

bool ProgressDisplay::update(std::uint64_t done, std::uint64_t total) {
  const Clock::time_point now = Clock::now();
  done_ = done;
  // Where work of one kind begins anew, as when folders are watched.
  if (!samples_.empty() && done < samples_.back().done) samples_.clear();
  // The library also calls while nothing new is done, so that it can be stopped: no samples.
  if (total > 0 && (samples_.empty() || samples_.back().done != done)) {
    samples_.push_back({now, done});
  }
  while (samples_.size() > 2 &&
         (now - samples_[1].time > kRateWindow || samples_.size() > kSamples)) {
    samples_.pop_front();
  }

  const bool first = samples_.size() == 1 && terminal_;
  const bool last = done == total && total > 0;
  const auto interval = terminal_ ? Clock::duration(kBarInterval) : Clock::duration(kLineInterval);
  if (!quiet_ && (first || last || now - shown_ >= interval)) {
    if (terminal_) {
      show_status(bar(total, rate()));
    } else if (now - shown_ >= interval) {
      say(line(total, rate()));
    }
    shown_ = now;
  }
  return !StopSignals::requested();
}

double ProgressDisplay::rate() const {
  if (samples_.empty()) return 0;
  // The first sample is when the first units were done: what came before, such as loading a model,
  // does not count.
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  const double seconds = std::chrono::duration<double>(last.time - first.time).count();
  return seconds > 0 ? static_cast<double>(last.done - first.done) / seconds : 0;
}

std::string ProgressDisplay::bar(std::uint64_t total, double rate) const {
  if (total == 0) return fmt::format("{} ...  {}", verb_, clock_time(seconds()));
  const double share = static_cast<double>(done_) / static_cast<double>(total);
  std::string numbers = fmt::format(" {:3.0f} %  {} of {} {}", share * 100, with_commas(done_),
                                    with_commas(total), unit_);
  if (rate > 0) {
    numbers += "  " + rate_text(rate);
    if (done_ < total) numbers += "  " + time_left(total - done_, rate) + " left";
  } else {
    numbers += "  " + clock_time(seconds());  // a sign of life until the first batch is done
  }

  // One column stays free: a full line would wrap on some terminals and could not be erased.
  const std::size_t width = terminal_width(STDERR_FILENO) - 1;
  const std::size_t taken = verb_.size() + numbers.size() + 3;
  if (width < taken + kNarrowestBar) return (verb_ + numbers).substr(0, width);
  const std::size_t cells = std::min(width - taken, kWidestBar);
  const auto full = static_cast<std::size_t>(share * static_cast<double>(cells));
  return fmt::format("{} [{:=<{}}{:-<{}}]{}", verb_, "", full, "", cells - full, numbers);
}

std::string ProgressDisplay::line(std::uint64_t total, double rate) const {
  if (total == 0) return fmt::format("{}, {} so far", verb_, seconds_text(seconds()));
  std::string text =
      fmt::format("{} {} of {} {}", verb_, with_commas(done_), with_commas(total), unit_);
  if (rate > 0)
    text += fmt::format(", {}, {} left", rate_text(rate), time_left(total - done_, rate));
  return text;
}

}  // namespace vsx

// How far long work is.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>

#include "signals.h"
#include "vsearch/types.h"

namespace vsx {

// Shows the progress of one piece of long work: a bar with rate and time left on a terminal, a
// plain line every few seconds otherwise, nothing if `quiet`. Ctrl-C asks the work to stop
// meanwhile. Threads: used from one thread.
class ProgressDisplay {
 public:
  // `verb` as in "adding", `unit` as in "items".
  ProgressDisplay(std::string verb, std::string unit, bool quiet);
  ~ProgressDisplay();  // takes the bar away
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  // Returns false once the work should stop. A vsearch::Progress; a total of 0: not known yet.
  bool update(std::uint64_t done, std::uint64_t total);

  // What to give to the library. Borrows this object.
  vsearch::Progress callback() {
    return [this](std::uint64_t done, std::uint64_t total) { return update(done, total); };
  }

  std::uint64_t done() const { return done_; }
  double seconds() const;  // since the beginning

 private:
  using Clock = std::chrono::steady_clock;
  struct Sample {
    Clock::time_point time;
    std::uint64_t done;
  };

  double rate() const;  // units per second over the last samples; 0: unknown
  std::string bar(std::uint64_t total, double rate) const;
  std::string line(std::uint64_t total, double rate) const;

  StopSignals signals_;
  std::string verb_;
  std::string unit_;
  bool quiet_;
  bool terminal_;
  Clock::time_point begin_;
  Clock::time_point shown_;
  std::deque<Sample> samples_;
  std::uint64_t done_ = 0;
};

}  // namespace vsx

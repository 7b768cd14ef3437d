// How far training is, and what it learns from.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "progress.h"
#include "signals.h"
#include "vsearch/trainer.h"

namespace vsx {

// Shows a bar while pictures are encoded, then, before the first step, what is learned from, then a
// line with the loss, pictures per second and the time left; plain lines every few seconds where
// standard error is no terminal, nothing if `quiet`. Ctrl-C asks training to stop meanwhile.
// Borrows the data set. Threads: used from one thread.
class TrainDisplay {
 public:
  TrainDisplay(const vsearch::Dataset& dataset, bool quiet);
  ~TrainDisplay();  // takes the line away
  TrainDisplay(const TrainDisplay&) = delete;
  TrainDisplay& operator=(const TrainDisplay&) = delete;

  // What to give to the library. Borrows this object.
  vsearch::TrainProgress callback() {
    return [this](const vsearch::TrainState& state) { return update(state); };
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool update(const vsearch::TrainState& state);
  void begin_learning(const vsearch::TrainState& state);
  // Over this epoch, or where that is one step over all of them; 0: not known yet.
  double pictures_per_second(const vsearch::TrainState& state) const;
  std::string bar(const vsearch::TrainState& state) const;
  std::string line(const vsearch::TrainState& state) const;

  const vsearch::Dataset& dataset_;
  bool quiet_;
  bool terminal_;
  // While pictures are encoded; it hears Ctrl-C until signals_ does.
  std::optional<ProgressDisplay> encoding_;
  std::optional<StopSignals> signals_;
  Clock::time_point shown_;
  std::uint64_t first_step_ = 0;  // of all, from which the rate is measured
  std::uint32_t first_epoch_ = 0;
  Clock::time_point first_seen_;
};

}  // namespace vsx

// Ctrl-C that loses nothing.
#pragma once

namespace vsx {

// While one of these lives, the first SIGINT or SIGTERM only asks the work to stop (and says so);
// a second one ends the process at once with exit code 130. At other times a signal ends the
// process as usual, which is safe too: a catalogue survives being killed.
// One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Whether a signal has asked to stop; stays true.
  static bool requested();
};

}  // namespace vsx

#include "signals.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "commands.h"

namespace vsx {
namespace {

volatile sig_atomic_t stop_requested = 0;
std::string_view note;
struct sigaction previous_int;
struct sigaction previous_term;

// Only async-signal-safe calls in here: write(), _exit().
void on_signal(int) {
  // A failed write means that nobody reads standard error, which changes nothing.
  if (stop_requested != 0) {
    (void)!write(STDERR_FILENO, note.data(), note.starts_with('\n') ? 1 : 0);
    _exit(kInterrupted);
  }
  stop_requested = 1;
  const int interrupted_errno = errno;
  (void)!write(STDERR_FILENO, note.data(), note.size());
  errno = interrupted_errno;
}

}  // namespace

StopSignals::StopSignals() {
  // On a terminal the cursor stands behind a progress bar.
  note = "\nvsx: stopping; press Ctrl-C again to stop at once\n";
  if (isatty(STDERR_FILENO) != 1) note.remove_prefix(1);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // a read under way must not fail because of Ctrl-C
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_int);
  sigaction(SIGTERM, &action, &previous_term);
}

StopSignals::~StopSignals() {
  sigaction(SIGINT, &previous_int, nullptr);
  sigaction(SIGTERM, &previous_term, nullptr);
}

bool StopSignals::requested() {
  return stop_requested != 0;
}

}  // namespace vsx

#include "apps/gridspot/signals.h"

#include <csignal>

namespace gridspot::app {

namespace {
// A signal handler reaches nothing but a global.
std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void on_stop_signal(int signal) {
  received = signal;
  std::signal(signal, SIG_DFL);
}
}  // namespace

StopSignals::StopSignals() {
  received = 0;
  std::signal(SIGINT, on_stop_signal);
  std::signal(SIGTERM, on_stop_signal);
}

StopSignals::~StopSignals() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

const std::atomic<int>& StopSignals::flag() const { return received; }

int StopSignals::exit_code() const { return received == 0 ? 0 : 128 + received; }

}  // namespace gridspot::app

#pragma once
// A clean stop by SIGINT or SIGTERM.
#include <atomic>

namespace gridspot::app {

/// While it lives, the first SIGINT or SIGTERM sets the flag instead of ending the program; the second ends it at once.
/// One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// 0, or the signal's number.
  [[nodiscard]] const std::atomic<int>& flag() const;
  /// 130 or 143 when a signal came, else 0.
  [[nodiscard]] int exit_code() const;
};

}  // namespace gridspot::app

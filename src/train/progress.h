#pragma once
// A progress bar on a terminal, a line now and then elsewhere.
#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>

namespace gridspot {

/// "1:05" or "2:03:09".
std::string format_duration(double seconds);

class Progress {
 public:
  /// `out` is drawn on about five times a second when `terminal`, else every `line_seconds`. `first` of `total` were
  /// done before, which took none of the time that counts here.
  Progress(std::ostream& out, bool terminal, std::uint64_t first, std::uint64_t total, double line_seconds = 10);

  /// done of total; `text` stands behind the bar ("loss 0.123"); `rate` with its unit ("532 canvases/s").
  void update(std::uint64_t done, const std::string& text, double rate, const char* unit);
  /// Leaves the bar's line, if one was drawn, so that other output starts on a line of its own.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  std::ostream& out_;
  bool terminal_, drawn_ = false;
  std::uint64_t first_, total_;
  Clock::time_point start_, last_;
  std::chrono::duration<double> interval_;
};

}  // namespace gridspot

#include "train/progress.h"

#include <cmath>
#include <iomanip>
#include <sstream>

namespace gridspot {

std::string format_duration(double seconds) {
  const long long total = std::llround(std::max(0.0, seconds));
  std::ostringstream text;
  text << std::setfill('0');
  if (total >= 3600)
    text << total / 3600 << ':' << std::setw(2) << total / 60 % 60;
  else
    text << total / 60;
  text << ':' << std::setw(2) << total % 60;
  return text.str();
}

Progress::Progress(std::ostream& out, bool terminal, std::uint64_t first, std::uint64_t total, double line_seconds)
    : out_(out),
      terminal_(terminal),
      first_(first),
      total_(total),
      start_(Clock::now()),
      last_(start_),
      interval_(terminal ? 0.2 : line_seconds) {}

void Progress::update(std::uint64_t done, const std::string& text, double rate, const char* unit) {
  const auto now = Clock::now();
  if (now - last_ < interval_ && (!terminal_ || done < total_)) return;
  last_ = now;
  const double share = total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 1;
  const double spent = std::chrono::duration<double>(now - start_).count();
  std::ostringstream line;
  if (terminal_) {
    constexpr int width = 24;
    const int full = static_cast<int>(share * width);
    line << "\r\033[K[" << std::string(full, '#') << std::string(width - full, '-') << "] ";
  }
  line << done << '/' << total_ << "  " << text << "  " << std::fixed << std::setprecision(0) << rate << ' ' << unit;
  if (done > first_)
    line << "  " << format_duration(spent * static_cast<double>(total_ - done) / static_cast<double>(done - first_))
         << " left";
  if (!terminal_) line << '\n';
  out_ << line.str() << std::flush;
  drawn_ = terminal_;
}

void Progress::finish() {
  if (drawn_) out_ << '\n' << std::flush;
  drawn_ = false;
}

}  // namespace gridspot

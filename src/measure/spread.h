#pragma once
// Repeated timings.
#include <atomic>
#include <chrono>
#include <vector>

#include "io/json.h"

namespace gridspot::measure {

struct Spread {
  double low = 0, median = 0, high = 0;  ///< quartiles
};

/// Of at least one value.
Spread spread_of(std::vector<double> values);

/// {"median": ..., "quartiles": [..., ...]}, each times `scale`.
Json to_json(const Spread& spread, double scale = 1);

/// A measurement that a signal broke off.
struct Stopped {};

/// When a repetition ends: after `least` calls and not before `seconds`.
struct Repetition {
  int least = 1;
  double seconds = 0;
};

/// Seconds of each call of `work`, which returns when the device has done it. Throws Stopped once `stop` is not 0.
template <class Work>
std::vector<double> time_each(const Repetition& repetition, const std::atomic<int>& stop, const Work& work) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::vector<double> seconds;
  const auto begin = Clock::now();
  while (static_cast<int>(seconds.size()) < repetition.least || since(begin) < repetition.seconds) {
    if (stop != 0) throw Stopped{};
    const auto start = Clock::now();
    work();
    seconds.push_back(since(start));
  }
  return seconds;
}

}  // namespace gridspot::measure

#pragma once
// The learning rate as a function of the step, for the host and for kernels.
#include <cmath>
#include <cstdint>

#include "simt/qualifiers.h"

namespace gridspot {

enum class ScheduleKind { constant, cosine, one_cycle };

/// Learning rate at step t = 0 ... steps - 1; later steps have the rate of step steps - 1.
/// constant and cosine: the first `warmup` steps rise linearly, peak * (t + 1) / warmup. constant then stays at peak;
/// cosine falls along half a cosine from peak at step `warmup` to final_fraction * peak at step steps - 1. one_cycle
/// (Smith & Topin 2018): rises along half a cosine from peak / 25 at step 0 to peak at step `warmup`, then falls as
/// cosine does.
struct Schedule {
  ScheduleKind kind = ScheduleKind::cosine;
  float peak = 1e-3f;
  std::uint64_t steps = 1, warmup = 0;
  float final_fraction = 0.01f;
};

/// From `begin` at progress 0 to `end` at progress 1 along half a cosine.
__host__ __device__ inline double half_cosine(double begin, double end, double progress) {
  constexpr double pi = 3.14159265358979323846;
  return end + (begin - end) * (0.5 + 0.5 * cos(pi * progress));
}

__host__ __device__ inline float learning_rate(const Schedule& schedule, std::uint64_t step) {
  const std::uint64_t last = schedule.steps > 0 ? schedule.steps - 1 : 0;
  const std::uint64_t t = step < last ? step : last;
  const double peak = schedule.peak;
  if (t < schedule.warmup) {
    if (schedule.kind == ScheduleKind::one_cycle)
      return static_cast<float>(half_cosine(peak / 25, peak, double(t) / double(schedule.warmup)));
    return static_cast<float>(peak * double(t + 1) / double(schedule.warmup));
  }
  if (schedule.kind == ScheduleKind::constant || last <= schedule.warmup) return schedule.peak;
  const double progress = double(t - schedule.warmup) / double(last - schedule.warmup);
  return static_cast<float>(half_cosine(peak, peak * double(schedule.final_fraction), progress));
}

}  // namespace gridspot

#pragma once
// The learning rate from its definition in kernels/schedule.h, in double precision.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/schedule.h"

namespace gridspot::reference {

inline double learning_rate(const Schedule& s, double t) {
  const auto falling = [](double from, double to, double progress) {
    return to + (from - to) * (1 + std::cos(std::numbers::pi * progress)) / 2;
  };
  const double steps = double(s.steps), warmup = double(s.warmup), peak = s.peak;
  t = std::min(t, steps - 1);
  if (t < warmup)
    return s.kind == ScheduleKind::one_cycle ? falling(peak / 25, peak, t / warmup) : peak * (t + 1) / warmup;
  if (s.kind == ScheduleKind::constant || t == warmup) return peak;
  return falling(peak, peak * s.final_fraction, (t - warmup) / (steps - 1 - warmup));
}

}  // namespace gridspot::reference

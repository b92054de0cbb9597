// The axes of charts.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "report/svg.h"

namespace gridspot::report {
namespace {

/// The round step that cuts `range` into about `wanted` parts.
double round_step(double range, int wanted) {
  const double raw = range / wanted, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power * 1.001) return factor * power;
  return 10 * power;
}

std::vector<double> logarithmic_ticks(const Axis& axis, int wanted) {
  std::vector<double> all, powers;
  for (int exponent = static_cast<int>(std::floor(std::log10(axis.from))); std::pow(10, exponent) <= axis.to;
       ++exponent)
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * std::pow(10, exponent);
      if (value < axis.from * 0.999 || value > axis.to * 1.001) continue;
      all.push_back(value);
      if (factor == 1) powers.push_back(value);
    }
  return all.size() > 2 * static_cast<std::size_t>(wanted) ? powers : all;
}

}  // namespace

std::vector<double> ticks(const Axis& axis, int wanted) {
  if (!(axis.to > axis.from)) return {axis.from};
  if (axis.logarithmic) return logarithmic_ticks(axis, wanted);
  const double step = round_step(axis.to - axis.from, wanted);
  std::vector<double> values;
  for (double i = std::ceil(axis.from / step - 0.001); i * step <= axis.to + 0.001 * step; ++i)
    values.push_back(i * step);
  return values;
}

Axis rounded_axis(const std::string& name, double low, double high) {
  if (!(high > low)) high = low + 1;
  const double step = round_step(high - low, 5);
  return {name, std::floor(low / step + 0.001) * step, std::ceil(high / step - 0.001) * step};
}

std::string tick_text(double value, double step) {
  const int digits = step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 0.001));
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", std::clamp(digits, 0, 9), std::abs(value) < step / 1000 ? 0.0 : value);
  return text;
}

}  // namespace gridspot::report

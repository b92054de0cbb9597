#pragma once
// Tests of distributions.
#include <algorithm>
#include <cmath>
#include <vector>

namespace gridspot::test {

/// Kolmogorov's statistic sqrt(n) D_n of values that should be uniform in [0, 1] (Kolmogorov 1933): 1.95 is exceeded
/// with probability 0.001.
inline double kolmogorov_smirnov(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    distance = std::max({distance, std::abs(values[i] - double(i) / n), std::abs(values[i] - double(i + 1) / n)});
  return distance * std::sqrt(n);
}

/// Pearson's statistic of counts that should be equal.
inline double chi_square(const std::vector<int>& counts) {
  double total = 0;
  for (const int count : counts) total += count;
  const double expected = total / double(counts.size());
  double sum = 0;
  for (const int count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

}  // namespace gridspot::test

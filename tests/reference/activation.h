#pragma once
// Bias and activation from the definitions in kernels/activation.h, in double precision.
#include <vector>

namespace gridspot::reference {

inline std::vector<double> bias_activation(const std::vector<double>& values, const std::vector<double>& bias,
                                           double slope) {
  std::vector<double> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double z = values[i] + bias[i % bias.size()];
    result[i] = z > 0 ? z : slope * z;
  }
  return result;
}

inline std::vector<double> activation_gradient(const std::vector<double>& gradient, const std::vector<double>& output,
                                               double slope) {
  std::vector<double> result(gradient.size());
  for (std::size_t i = 0; i < gradient.size(); ++i) result[i] = gradient[i] * (output[i] > 0 ? 1 : slope);
  return result;
}

/// The sum of each column of [rows, channels].
inline std::vector<double> column_sums(const std::vector<double>& values, int channels) {
  std::vector<double> sums(channels);
  for (std::size_t i = 0; i < values.size(); ++i) sums[i % channels] += values[i];
  return sums;
}

}  // namespace gridspot::reference

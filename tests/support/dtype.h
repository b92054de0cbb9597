#pragma once
// For tests that run for float and bfloat16 alike.
#include <vector>

#include "kernels/bfloat16.h"
#include "tests/support/compare.h"

namespace gridspot::test {

template <class T>
std::vector<T> to_dtype(const std::vector<float>& values) {
  std::vector<T> result;
  result.reserve(values.size());
  for (const float value : values) result.push_back(from_float<T>(value));
  return result;
}

template <class T>
std::vector<float> to_floats(const std::vector<T>& values) {
  std::vector<float> result;
  result.reserve(values.size());
  for (const T value : values) result.push_back(to_float(value));
  return result;
}

/// What a reference starts from: the values as T holds them.
template <class T>
std::vector<double> as_stored(const std::vector<float>& values) {
  return to_double(to_floats(to_dtype<T>(values)));
}

template <class T>
constexpr Tolerance tolerance_of() {
  return std::is_same_v<T, float> ? float32_tolerance : bfloat16_tolerance;
}

}  // namespace gridspot::test

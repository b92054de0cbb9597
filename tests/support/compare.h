#pragma once
// Comparison of a result with a double-precision reference.
#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace gridspot::test {

/// A value v matches its reference r when |v - r| <= absolute + relative * |r|.
struct Tolerance {
  double absolute = 0, relative = 0;
};

// The rule, per dtype. Sums over many terms pass a multiple: `float32_tolerance * 8`.
inline constexpr Tolerance float32_tolerance{1e-6, 1e-5};
inline constexpr Tolerance bfloat16_tolerance{1e-3, 8e-3};
inline constexpr Tolerance tf32_tolerance{2e-3, 2e-3};
constexpr Tolerance operator*(Tolerance t, double factor) { return {t.absolute * factor, t.relative * factor}; }

/// Success, or a failure that names the worst element (index, value, reference) and the share of the tolerance it uses.
/// NaN matches only NaN.
testing::AssertionResult matches(std::span<const float> values, std::span<const double> reference, Tolerance tolerance);

/// Widens, for references that start from float data.
std::vector<double> to_double(std::span<const float> values);

}  // namespace gridspot::test

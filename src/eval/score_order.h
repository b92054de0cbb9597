#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace gridspot::eval {

/// The indices of `scores` by falling score; equal scores (0 and -0 are equal) keep their order. Scores must not be
/// NaN.
std::vector<std::uint32_t> order_by_falling_score(std::span<const float> scores);

}  // namespace gridspot::eval

#pragma once
// The weights after 20 steps, from tests/golden/make_optimizer_golden.py with torch 2.15.0+cu132.
#include <array>

namespace gridspot::golden {

inline constexpr std::array adamw_weights{0.54326249124162995, -0.2209327965751747, 0.15590404111273942,
                                          0.89511460021311873};
inline constexpr std::array adam_weights{0.51253321343103408, -0.20790048633894526, 0.14923509355593792,
                                         0.84359571343576256};
inline constexpr std::array sgd_weights{0.42547660355962091, -0.20901255888691708, 0.18320050634090429,
                                        0.76057116740341324};

}  // namespace gridspot::golden

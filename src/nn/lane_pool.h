#pragma once
// A max pool of size and stride 2 in vectors of eight channels, as kernels/max_pool.h defines it.
#include <array>
#include <cstdint>

#include "nn/lanes.h"

namespace gridspot {

typedef std::int32_t IntLanes __attribute__((vector_size(lane_count * sizeof(std::int32_t))));

/// Row by row.
inline constexpr int window_size = 4;
using Window = std::array<Lanes, window_size>;

struct Maximum {
  Lanes value;
  IntLanes position;  ///< in the window
};

/// The first of equals, and the first NaN.
inline Maximum maximum_of(const Window& window) {
  Maximum best{window[0], IntLanes{}};
  for (int i = 1; i < window_size; ++i) {
    const IntLanes wins = (best.value == best.value) & ~(window[i] <= best.value);
    best.value = wins ? window[i] : best.value;
    best.position = wins ? i - IntLanes{} : best.position;
  }
  return best;
}

inline void store_choice(std::uint8_t* to, const IntLanes& position) {
  for (int i = 0; i < lane_count; ++i) to[i] = static_cast<std::uint8_t>(position[i]);
}

inline IntLanes load_choice(const std::uint8_t* from) {
  IntLanes position;
  for (int i = 0; i < lane_count; ++i) position[i] = from[i];
  return position;
}

inline Lanes where_chosen(const IntLanes& choice, int position, const Lanes& gradient) {
  return choice == position - IntLanes{} ? gradient : Lanes{};
}

}  // namespace gridspot

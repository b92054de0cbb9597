#pragma once
// A max pool of size and stride 2 in vectors of channels, as kernels/max_pool.h defines it.
#include <array>
#include <cstdint>

#include "nn/lanes.h"

namespace gridspot {

/// Row by row.
inline constexpr int window_size = 4;
template <int count>
using Window = std::array<Lanes<count>, window_size>;

template <int count>
struct Maximum {
  Lanes<count> value;
  IntLanes<count> position;  ///< in the window
};

/// The first of equals, and the first NaN.
template <int count>
[[gnu::always_inline]] inline Maximum<count> maximum_of(const Window<count>& window) {
  Maximum<count> best{window[0], IntLanes<count>{}};
  for (int i = 1; i < window_size; ++i) {
    const IntLanes<count> wins = (best.value == best.value) & ~(window[i] <= best.value);
    best.value = wins ? window[i] : best.value;
    best.position = wins ? i - IntLanes<count>{} : best.position;
  }
  return best;
}

template <int count>
[[gnu::always_inline]] inline void store_choice(std::uint8_t* to, const IntLanes<count>& position) {
  const auto bytes = __builtin_convertvector(position, typename VectorsOf<count>::Bytes);
  std::memcpy(to, &bytes, sizeof bytes);
}

template <int count>
[[gnu::always_inline]] inline IntLanes<count> load_choice(const std::uint8_t* from) {
  typename VectorsOf<count>::Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, IntLanes<count>);
}

template <int count>
[[gnu::always_inline]] inline Lanes<count> where_chosen(const IntLanes<count>& choice, int position,
                                                        const Lanes<count>& gradient) {
  return choice == position - IntLanes<count>{} ? gradient : Lanes<count>{};
}

}  // namespace gridspot

#pragma once
// How a maximum is chosen from its window, and its gradient sent back to the choice.
#include "kernels/pack.h"

namespace gridspot {

/// Where `value` is larger, it and its position are kept. The first NaN wins.
__device__ __forceinline__ void keep_larger(const Pack& value, float at, Pack& best, Pack& position) {
  const auto wins = [](auto a, auto b) { return (b == b) & !(a <= b); };
  position = lanewise([&](auto a, auto b, auto p) { return wins(a, b) ? at : p; }, value, best, position);
  best = lanewise([&](auto a, auto b) { return wins(a, b) ? a : b; }, value, best);
}

/// The gradient where `position` was chosen, else 0.
__device__ __forceinline__ Pack where_chosen(const Pack& choice, float position, const Pack& gradient) {
  return lanewise([position](auto c, auto g) { return c == position ? g : 0.0f; }, choice, gradient);
}

}  // namespace gridspot

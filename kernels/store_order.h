#pragma once
// Which item of a store stands at a place of a step's batch; see GatherOrder. For kernels.
#include "kernels/canvas_store.h"
#include "kernels/permutation.h"

namespace gridspot {

__device__ inline std::uint32_t item_of(const GatherOrder& order, int store_count, std::uint64_t step,
                                        std::uint64_t place) {
  const auto count = static_cast<std::uint32_t>(store_count);
  const std::uint64_t position = step * static_cast<std::uint64_t>(order.batch) + place;
  const auto place_of_epoch = static_cast<std::uint32_t>(position % count);
  return order.shuffle ? Permutation{order.key, position / count, count}(place_of_epoch) : place_of_epoch;
}

}  // namespace gridspot

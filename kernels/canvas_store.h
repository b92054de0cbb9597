#pragma once
// Fixed canvases on the device, and the order in which they are taken.
#include <cstdint>

#include "gridspot/box.h"

namespace gridspot {

/// What kernels see of stored canvases. All pointers are device memory.
struct CanvasStoreView {
  const std::uint8_t* pixels;  ///< [count, height, width], grey
  const Box* boxes;            ///< [count, capacity]
  const std::int32_t* labels;  ///< [count, capacity]; -1 from the canvas's count on
  const std::int32_t* counts;  ///< [count], each in [0, capacity]
  int count, height, width, capacity;
};

/// Which stored canvas a place of a step's batch takes. The places of all steps form one sequence, p = step * batch +
/// place in the batch, which goes through the store again and again: epoch e = p / count takes at its place p % count
/// the item Permutation{key, e, count}(p % count), or without `shuffle` the item p % count. So every epoch takes each
/// canvas once, whatever the batch, and an epoch may end in the middle of one.
struct GatherOrder {
  std::uint64_t key = 0;
  bool shuffle = false;
  int batch = 1;
};

}  // namespace gridspot

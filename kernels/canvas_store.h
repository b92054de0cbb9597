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

/// How a stored canvas is changed. All 0: not at all.
struct Augmentation {
  float scale = 0;    ///< the canvas is scaled about its centre by a factor log-uniform in [1 / (1 + scale), 1 + scale]
  float shift = 0;    ///< then moved along each axis, pixels, uniform in +-
  float overlay = 0;  ///< probability that a second canvas of the store, changed in its own way, is added to it
  [[nodiscard]] constexpr bool is_none() const { return scale == 0 && shift == 0 && overlay == 0; }
};

inline constexpr float most_scale = 0.5f, most_shift = 64;
/// An object of which less than this share of the box remains on the canvas, or whose centre leaves it, loses its
/// label.
inline constexpr float least_remaining_share = 0.5f;

}  // namespace gridspot

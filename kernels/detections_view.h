#pragma once
// Where suppression leaves what it keeps.
#include <cstdint>

#include "gridspot/box.h"

namespace gridspot {

/// Detections of n images, highest score first; device memory. Entries from an image's count on: box zeros, score 0,
/// class -1.
struct DetectionsView {
  int n, capacity;
  Box* boxes;               ///< [n, capacity]
  float* scores;            ///< [n, capacity]
  std::int32_t* classes;    ///< [n, capacity]
  std::int32_t* counts;     ///< [n]: detections of the image, at most capacity
  std::int32_t* truncated;  ///< [n]: survivors beyond the capacity (the lowest scores)
};

}  // namespace gridspot

#pragma once
// Which canvases a call makes.
#include <cstdint>

#include "simt/qualifiers.h"

namespace gridspot {

/// The canvases first + *offset, first + *offset + 1, ... of step *step. What the pointers name is device memory that
/// is read when a kernel runs, so that a captured call makes other canvases each time.
struct CanvasNumbers {
  const std::uint64_t* step = nullptr;  ///< holds a value below 2^56
  int first = 0;
  const std::uint64_t* offset = nullptr;  ///< null: 0

  __device__ std::uint64_t operator[](std::uint64_t i) const {
    return static_cast<std::uint64_t>(first) + (offset == nullptr ? 0 : *offset) + i;
  }
};

}  // namespace gridspot

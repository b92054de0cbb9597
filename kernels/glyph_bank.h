#pragma once
// Glyph images on the device.
#include <cstdint>

namespace gridspot {

/// The pixels count as ink from this value on (of 255).
inline constexpr int ink_threshold = 64;

/// What kernels see of a glyph bank. All pointers are device memory.
struct GlyphBankView {
  const std::uint8_t* pixels;       ///< [count, height, width], 0 is background
  const std::int32_t* labels;       ///< [count]
  const std::int16_t* row_extents;  ///< [count, height, 2]: first ink column and one past the last; equal where none
  int count, height, width, classes;
};

}  // namespace gridspot

#pragma once
// One glyph on a canvas; what scene sampling hands to composition.
#include <cstdint>

namespace gridspot {

/// What composition asks of every glyph for every pixel stands first, in two loads.
struct alignas(8) Placement {
  float cx, cy;            ///< centre of the tile, canvas pixels
  float reach_x, reach_y;  ///< half the width and height of the transformed tile's bounding box, canvas pixels
  float to_glyph[4];       ///< (u, v) = (m0 dx + m1 dy, m2 dx + m3 dy): offset from the centre, canvas to glyph pixels
  std::int32_t glyph;      ///< index in the bank
  std::int32_t samples;  ///< samples along each side of a canvas pixel: one for each glyph pixel it covers, rounded up
};

}  // namespace gridspot

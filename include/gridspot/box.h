#pragma once

namespace gridspot {

/// An axis-aligned box: centre and size, normalised to the canvas (x and w by its width, y and h by its height).
/// Pixel (i, j) covers [j, j + 1) x [i, i + 1) before normalisation.
struct Box {
  float cx = 0, cy = 0, w = 0, h = 0;
};

}  // namespace gridspot

#pragma once

namespace gridspot {

/// What a training step leaves behind.
struct StepMetrics {
  float objectness, box, classes;  ///< the terms of the loss, weighted; their sum is the loss
  float gradient_norm;             ///< before clipping
  float collisions;                ///< objects that lost their cell
  float unplaced;                  ///< glyphs that found no place
};

}  // namespace gridspot

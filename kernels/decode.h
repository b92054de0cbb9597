#pragma once
// Network output to candidate boxes.
#include <cstdint>

#include "device/buffer.h"
#include "gridspot/box.h"
#include "kernels/grid.h"

namespace gridspot {

/// One candidate for each predictor of each cell: slot = (row * S + column) * B + predictor.
/// score = sigmoid(objectness) * probability of the likeliest class (ties: the lowest class). Where the score is below
/// `threshold`, or score or box are not finite, the score and the box are 0 and the class -1. predictions: [n, S, S,
/// channels]; boxes, scores, classes: [n, slots]. Boxes are not clipped. Enqueues on the stream. Throws InvalidInput
/// when sizes do not fit, there is no predictor, or the threshold lies outside [0, 1].
void decode_grid(Stream& stream, const GridHead& head, int n, float threshold, DeviceSpan<const float> predictions,
                 DeviceSpan<Box> boxes, DeviceSpan<float> scores, DeviceSpan<std::int32_t> classes);

}  // namespace gridspot

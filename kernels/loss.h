#pragma once
// The detection loss: value and gradient in one pass.
#include <cstdint>

#include "device/buffer.h"
#include "gridspot/box.h"
#include "kernels/grid.h"

namespace gridspot {

struct LossSettings {
  float objectness_weight = 1, no_object_weight = 1, box_weight = 5, class_weight = 1;
  BoxLoss box_loss = BoxLoss::diou;
};

/// loss = 1/batch * sum over canvases of
///     1/(S S B) * sum over predictors of (objectness_weight or no_object_weight) * BCE(objectness logit, responsible)
///   + box_weight   * sum over responsible predictors of the box loss
///   + class_weight * sum over cells with an object of the class loss.
/// In a cell with an object the predictor whose decoded box has the highest IoU with the object's is responsible (ties:
/// the lowest index); the choice takes no gradient. Box loss: `mse`, the mean of the squared errors of (x, y in the cell,
/// w, h as shares of the canvas); `diou`, 1 - IoU + d^2/c^2 (Zheng et al. 2020, eq. 7). Class loss: cross entropy; mean over
/// classes of the squared error to one-hot; mean over classes of the BCE to one-hot.
///
/// predictions, gradient: [n, S, S, channels], float32; cell_object: [n, S, S] from encode_targets; boxes, labels:
/// [n, capacity]. `batch` is the number of canvases of the whole step (n is this shard's). terms: [n, 3], each canvas's
/// weighted objectness, box and class loss, not divided by batch. Gradients are of the loss above. Sums run in a fixed order.
/// Enqueues on the stream. Throws InvalidInput when sizes do not fit.
void grid_loss(Stream& stream, const GridHead& head, const LossSettings& settings, int n, int capacity, int batch,
               DeviceSpan<const float> predictions, DeviceSpan<const std::int32_t> cell_object,
               DeviceSpan<const Box> boxes, DeviceSpan<const std::int32_t> labels, DeviceSpan<float> gradient,
               DeviceSpan<float> terms);

}  // namespace gridspot

#pragma once
// The detection loss: value and gradient in one pass.
#include <cstdint>

#include "device/buffer.h"
#include "gridspot/box.h"
#include "kernels/bfloat16.h"
#include "kernels/grid.h"

namespace gridspot {

/// loss = 1/batch * sum over canvases of
///     1/(S S B) * sum over predictors of (objectness_weight or no_object_weight) * BCE(objectness logit, responsible)
///   + box_weight   * sum over responsible predictors of the box loss
///   + class_weight * sum over cells with an object (multi_label: over all cells) of the class loss.
/// In a cell with an object the predictor whose decoded box has the highest IoU with the object's is responsible (ties:
/// the lowest index); the choice takes no gradient. Box loss: `mse`, the mean of the squared errors of (x, y in the
/// cell, w, h as shares of the canvas); `diou`, 1 - IoU + d^2/c^2 (Zheng et al. 2020, eq. 7) with the sizes of both
/// boxes clamped to [1e-6, 1e3]. Beyond that clamp the gradient is the one at its end, so that a negative size of the
/// linear coding can grow; where edges coincide it is the mean of the gradients on the two sides, so equal boxes have
/// gradient 0. Class loss: cross entropy; mean over classes of the squared error to one-hot; mean over classes of the
/// BCE to one-hot; multi_label: mean over classes of the BCE to whether an object of the class is centred in the cell.
/// A classifier (no predictors) has the class loss alone.
///
/// predictions, gradient: [n, S, S, channels]; the gradient is float32 or the same values rounded to bfloat16;
/// cell_object: [n, S, S] from encode_targets; boxes, labels: [n, capacity]. `batch` is the number of canvases of the
/// whole step (n is this shard's). terms: [n, 3], each canvas's weighted objectness, box and class loss, not divided by
/// batch. Every element of gradient is written: the gradient of the loss above. Sums run in a fixed order.
///
/// Finite predictions give no NaN. A NaN in an objectness logit, or anywhere in a cell with an object, reaches the
/// terms of its canvas (as far as their weights are not 0), and so does a label beyond the classes under cross entropy;
/// multi_label does not look at one.
/// Enqueues on the stream. Throws InvalidInput when sizes do not fit or a weight is negative or not finite.
void grid_loss(Stream& stream, const GridHead& head, const LossSettings& settings, int n, int capacity, int batch,
               DeviceSpan<const float> predictions, DeviceSpan<const std::int32_t> cell_object,
               DeviceSpan<const Box> boxes, DeviceSpan<const std::int32_t> labels, DeviceSpan<float> gradient,
               DeviceSpan<float> terms);
void grid_loss(Stream& stream, const GridHead& head, const LossSettings& settings, int n, int capacity, int batch,
               DeviceSpan<const float> predictions, DeviceSpan<const std::int32_t> cell_object,
               DeviceSpan<const Box> boxes, DeviceSpan<const std::int32_t> labels, DeviceSpan<bfloat16> gradient,
               DeviceSpan<float> terms);

}  // namespace gridspot

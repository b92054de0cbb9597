#pragma once
// Batches of stored canvases that look different each time.
#include <cstdint>

#include "device/buffer.h"
#include "kernels/canvas.h"
#include "kernels/canvas_store.h"
#include "kernels/tensor_span.h"

namespace gridspot {

/// As gather_canvases, with canvases that are changed: place i of step t takes the same item, and its changes are a
/// function of (order.key, t, i) alone: of the draws (philox.h, purpose `augmentation`) of index 0 and 1, for the first
/// and the second canvas, x is the logarithm of the factor, y and z the shift along x and y; w of index 0 decides
/// whether there is a second canvas, that of index 1 which item it is. A pixel is the bilinear interpolation of the
/// source, black beyond its edges; two canvases are added with saturation, as glyphs are. Boxes move with their objects
/// and are clipped to the canvas. An added canvas's labels follow those of the first. capacity >= the store's, twice
/// that with overlay > 0. Where nothing is changed, pixels and labels are those of gather_canvases, bit for bit.
/// Enqueues on the stream. Throws InvalidInput as gather_canvases, and for a scale outside [0, most_scale], a shift
/// outside [0, most_shift] or an overlay outside [0, 1].
void augment_canvases(Stream& stream, const CanvasStoreView& store, const GatherOrder& order,
                      const Augmentation& augmentation, CanvasNumbers numbers, int n, Normalization normalization,
                      TensorSpan canvas, DeviceSpan<Box> boxes, DeviceSpan<std::int32_t> labels,
                      DeviceSpan<std::int32_t> counts, int capacity);

}  // namespace gridspot

#pragma once
// Batches of stored canvases.
#include <cstdint>

#include "device/buffer.h"
#include "kernels/canvas.h"
#include "kernels/canvas_store.h"
#include "kernels/tensor_span.h"

namespace gridspot {

/// Network input and labels of the n places of a step's batch that `numbers` names (see GatherOrder). canvas: [n,
/// height, width], float32 or bfloat16, (value / 255 - mean) / deviation: in float32 the same that letterbox_image
/// makes of a grey image of the input's size (and within a rounding that of compose_canvases). boxes, labels: [n,
/// capacity] with capacity >= the store's; slots from the canvas's count on hold label -1 and a box of zeros. counts:
/// [n]. step * batch is below 2^56, and so are the places, which an offset on the device may put beyond the batch.
/// Enqueues on the stream. Throws InvalidInput when the store is empty, sizes do not fit, a place is outside the batch,
/// or the normalisation's deviation is not positive and finite.
void gather_canvases(Stream& stream, const CanvasStoreView& store, const GatherOrder& order, CanvasNumbers numbers,
                     int n, Normalization normalization, TensorSpan canvas, DeviceSpan<Box> boxes,
                     DeviceSpan<std::int32_t> labels, DeviceSpan<std::int32_t> counts, int capacity);

}  // namespace gridspot

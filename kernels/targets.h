#pragma once
// Which object each cell of the grid is responsible for.
#include <cstdint>

#include "device/buffer.h"
#include "gridspot/box.h"

namespace gridspot {

/// An object belongs to the cell that holds its box's centre (row floor(cy * cells), column floor(cx * cells), in
/// float32; a centre on the far edge or outside the canvas belongs to the nearest cell). A cell keeps one object: that
/// of the largest area (w * h in float32; 0 where that is negative or NaN), of equal areas the one with the lowest
/// index; each object that loses its cell counts as a collision. boxes, labels: [n, capacity] (a slot with a negative
/// label is empty); cell_object: [n, cells, cells], the object's slot or -1; collisions: [n]. Enqueues on the stream.
/// Throws InvalidInput when sizes do not fit.
void encode_targets(Stream& stream, int n, int capacity, DeviceSpan<const Box> boxes,
                    DeviceSpan<const std::int32_t> labels, int cells, DeviceSpan<std::int32_t> cell_object,
                    DeviceSpan<std::int32_t> collisions);

}  // namespace gridspot

#pragma once
// Class accuracy on the cells that hold an object: the original study's measure.
#include <cstdint>

#include "device/buffer.h"
#include "kernels/cell_class_counts.h"
#include "kernels/grid.h"

namespace gridspot {

/// predictions: [n, S, S, channels]; cell_object: [n, S, S], as encode_targets writes it; labels: [n, capacity];
/// counts: [n], written. Enqueues on the stream. Throws InvalidInput where a size does not fit or the head has no
/// classes.
void count_cell_classes(Stream& stream, const GridHead& head, int n, int capacity, DeviceSpan<const float> predictions,
                        DeviceSpan<const std::int32_t> cell_object, DeviceSpan<const std::int32_t> labels,
                        DeviceSpan<CellClassCounts> counts);

}  // namespace gridspot

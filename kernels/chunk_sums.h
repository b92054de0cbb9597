#pragma once
// The second half of sums over many rows: the blocks of a first launch have left one row of partial sums each.
#include "device/buffer.h"

namespace gridspot {

/// sums[c] = sum over the rows of partials[row, c], in a fixed order; what is left of a row's columns behind `sums`
/// goes to `more`. partials: [chunks, sums.size + more.size]. No chunks give zeros. Enqueues on the stream.
void sum_chunks(Stream& stream, unsigned chunks, DeviceSpan<const float> partials, DeviceSpan<float> sums,
                DeviceSpan<float> more = {});

}  // namespace gridspot

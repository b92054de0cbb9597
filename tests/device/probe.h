#pragma once
// Small kernels that show what a device does; on a GPU they check that the host runtime's idea of CUDA is CUDA's.
#include <cstdint>

#include "device/buffer.h"
#include "simt/dim3.h"

namespace gridspot::probe {

/// Counts, for every thread of the launch, how often it ran: visits[linear block * threads + linear thread].
void count_visits(Stream& stream, const LaunchShape& shape, DeviceSpan<int> visits);

/// The like in one dimension, through launch_1d.
void count_visits(Stream& stream, DeviceSpan<int> visits);

/// results[operation][lane] of a warp: index, up, down and exclusive-or shuffles of the lane's number by `operand` in
/// segments of `width`.
void shuffle_lanes(Stream& stream, int operand, int width, DeviceSpan<int> results);

/// results[lane] = {ballot, any, all} of `predicates` among the lanes of `mask`; other lanes' are not written.
void vote(Stream& stream, unsigned mask, unsigned predicates, DeviceSpan<unsigned> results);

/// sums[block] = the sum of the linear thread numbers of the block, by barriers and shared memory;
/// counts[block] = how many of them are divisible by 3. `threads` is a power of two up to 1024.
void sum_blocks(Stream& stream, unsigned threads, DeviceSpan<int> sums, DeviceSpan<int> counts);

}  // namespace gridspot::probe

#pragma once
// The numbers of a training step, kept on the device until somebody reads them.
#include <cstdint>

#include "device/buffer.h"
#include "kernels/step_metrics.h"

namespace gridspot {

/// history[*step % history.size] = the step's metrics: means of `terms` ([canvases, 3]) over the canvases, sums of
/// collisions and unplaced ([canvases]), summed in a fixed order. `step` and `norm` ([1]) are device memory. Where the
/// loss is not finite, *norm becomes NaN, so that optimizer_step and advance_step leave out the step. Enqueues on the
/// stream.
void record_step(Stream& stream, const std::uint64_t* step, DeviceSpan<const float> terms, DeviceSpan<float> norm,
                 DeviceSpan<const std::int32_t> collisions, DeviceSpan<const std::int32_t> unplaced,
                 DeviceSpan<StepMetrics> history);

}  // namespace gridspot

#pragma once
// Between a step's gradients and the update: its numbers, kept on the device until somebody reads them, what the update
// needs of them, and the next step's number.
#include <cstdint>

#include "device/buffer.h"
#include "kernels/optimizer.h"
#include "kernels/step_metrics.h"

namespace gridspot {

/// Device memory.
struct StepBuffers {
  DeviceSpan<const float> partial_norms;                ///< as reduce_gradients() has left them
  DeviceSpan<const float> terms;                        ///< [canvases, 3]: the loss terms
  DeviceSpan<const std::int32_t> collisions, unplaced;  ///< [canvases]
  DeviceSpan<StepMetrics> history;                      ///< at least one
  /// [2]: of parameters that every step updates, and of those that were frozen before step `frozen_steps`: AdamW's bias
  /// correction counts from their first update
  DeviceSpan<StepFactors> factors;
  std::uint64_t* step = nullptr;      ///< 0 for the first update
  std::uint64_t* progress = nullptr;  ///< memory that the host sees; may be null
};

/// With t = *step: history[t % history.size] = the means of the loss terms over the canvases, the gradient's 2-norm
/// before clipping, and the sums of collisions and unplaced, all summed in a fixed order; factors = those of step t;
/// then *step = *progress = t + 1. Where the loss or the norm is not finite, `factors` tell optimizer_step() to leave
/// out the step, and *step stays. Enqueues on the stream; throws InvalidInput when a setting is out of its range or a
/// size does not fit.
void finish_step(Stream& stream, const OptimizerSettings& settings, const StepBuffers& buffers,
                 std::uint64_t frozen_steps = 0);

}  // namespace gridspot

// The end of a training step, in one block: each thread sums every quantity over its canvases of the batch, and the
// parts of the squared norm, then one thread a quantity adds those sums, in a fixed order. The factors of the update
// are computed here once, not once for each parameter. Floor: 20 bytes and 5 additions a canvas, 4 bytes and 1 addition
// a partial norm; it is the latency of one block that counts.
#include "device/kernel.h"
#include "kernels/schedule.h"
#include "kernels/step_factors.h"
#include "kernels/step_metrics.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/check.h"
#include "kernels/finish_step.h"
#endif

namespace gridspot {

/// 1 - beta^t without cancellation for beta near 1.
__host__ __device__ inline double bias_correction(float beta, double t) {
  return beta == 0 ? 1.0 : -expm1(t * log(double(beta)));
}

struct FinishStep {
  static constexpr int max_block_threads = 128, quantities = 6;
  Schedule schedule;
  float beta1, beta2, clip_norm, ema_decay;
  std::uint64_t frozen_steps;
  const float* terms;
  const std::int32_t *collisions, *unplaced;
  std::size_t canvases;
  const float* partial_norms;
  std::size_t partials;
  StepMetrics* history;
  std::size_t capacity;
  StepFactors* factors;
  std::uint64_t *step, *progress;

  __device__ void operator()() const {
    const std::uint64_t t = *step;
    const float* totals = sum_quantities();
    if (threadIdx.x >= 2) return;
    const float share = 1.0f / static_cast<float>(canvases), norm = sqrtf(totals[5]);
    const StepMetrics metrics{totals[0] * share, totals[1] * share, totals[2] * share, norm, totals[3], totals[4]};
    const float loss = metrics.objectness + metrics.box + metrics.classes;
    const bool finite = loss - loss == 0 && norm - norm == 0;
    factors[threadIdx.x] = factors_of(t, threadIdx.x == 0 ? 0 : frozen_steps, norm, finite);
    if (threadIdx.x != 0) return;
    history[t % capacity] = metrics;
    if (finite) *step = t + 1;
    if (progress != nullptr) *progress = finite ? t + 1 : t;
  }

  __device__ const float* sum_quantities() const {
    float sums[quantities] = {};
    for (std::size_t i = threadIdx.x; i < canvases; i += max_block_threads) {
      for (int term = 0; term < 3; ++term) sums[term] += terms[3 * i + term];
      sums[3] += static_cast<float>(collisions[i]);
      sums[4] += static_cast<float>(unplaced[i]);
    }
    for (std::size_t i = threadIdx.x; i < partials; i += max_block_threads) sums[5] += partial_norms[i];
    auto* all = shared_memory<float>((max_block_threads + 1) * quantities);
    auto* totals = all + max_block_threads * quantities;
    for (int q = 0; q < quantities; ++q) all[threadIdx.x * quantities + q] = sums[q];
    __syncthreads();
    if (threadIdx.x < quantities) {
      float total = 0;
      for (int i = 0; i < max_block_threads; ++i) total += all[i * quantities + threadIdx.x];
      totals[threadIdx.x] = total;
    }
    __syncthreads();
    return totals;
  }

  __device__ StepFactors factors_of(std::uint64_t t, std::uint64_t first_update, float norm, bool finite) const {
    const double steps = double(t), updates = t < first_update ? 1.0 : double(t - first_update) + 1;
    StepFactors f;
    f.finite = finite ? 1.0f : 0.0f;
    f.learning_rate = gridspot::learning_rate(schedule, t);
    f.clip = clip_norm > 0 ? min(1.0f, clip_norm / (norm + 1e-6f)) : 1.0f;
    f.step_size = static_cast<float>(f.learning_rate / bias_correction(beta1, updates));
    f.root_scale = static_cast<float>(1 / sqrt(bias_correction(beta2, updates)));
    f.average_decay = static_cast<float>(min(double(ema_decay), (1 + steps) / (10 + steps)));
    return f;
  }
};

GRIDSPOT_KERNEL(FinishStep)

#if GRIDSPOT_HOST_PASS
void finish_step(Stream& stream, const OptimizerSettings& settings, const StepBuffers& buffers,
                 std::uint64_t frozen_steps) {
  constexpr auto who = "finish_step";
  const std::size_t canvases = buffers.collisions.size;
  require_settings(who, settings);
  require_that(canvases > 0, who, ": collisions must hold at least one canvas");
  require_elements(who, "terms", buffers.terms.size, 3 * canvases);
  require_elements(who, "unplaced", buffers.unplaced.size, canvases);
  require_that(buffers.history.size > 0, who, ": history must hold at least one step");
  require_elements(who, "factors", buffers.factors.size, 2);
  launch(stream,
         {.grid = {1},
          .block = {FinishStep::max_block_threads},
          .shared_bytes = (FinishStep::max_block_threads + 1) * FinishStep::quantities * sizeof(float)},
         FinishStep{settings.schedule, settings.beta1, settings.beta2, settings.clip_norm, settings.ema_decay,
                    frozen_steps, buffers.terms.data, buffers.collisions.data, buffers.unplaced.data, canvases,
                    buffers.partial_norms.data, buffers.partial_norms.size, buffers.history.data, buffers.history.size,
                    buffers.factors.data, buffers.step, buffers.progress});
}
#endif

}  // namespace gridspot

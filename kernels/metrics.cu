// The numbers of a training step. One block: each thread sums every quantity over its canvases of the batch, then one
// thread a quantity adds those sums, in a fixed order. Floor: 20 bytes and 5 additions a canvas.
#include "device/kernel.h"
#include "kernels/step_metrics.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/metrics.h"
#endif

namespace gridspot {

struct RecordStep {
  static constexpr int max_block_threads = 128, quantities = 5;
  const std::uint64_t* step;
  const float* terms;
  float* norm;
  const std::int32_t* collisions;
  const std::int32_t* unplaced;
  std::size_t canvases;
  StepMetrics* history;
  std::size_t capacity;

  __device__ void operator()() const {
    float sums[quantities] = {};
    for (std::size_t i = threadIdx.x; i < canvases; i += max_block_threads) {
      for (int term = 0; term < 3; ++term) sums[term] += terms[3 * i + term];
      sums[3] += static_cast<float>(collisions[i]);
      sums[4] += static_cast<float>(unplaced[i]);
    }
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
    if (threadIdx.x != 0) return;
    const float share = 1.0f / static_cast<float>(canvases);
    const StepMetrics metrics{totals[0] * share, totals[1] * share, totals[2] * share, *norm, totals[3], totals[4]};
    history[*step % capacity] = metrics;
    const float loss = metrics.objectness + metrics.box + metrics.classes;
    if (loss - loss != 0) *norm = nanf("");
  }
};

GRIDSPOT_KERNEL(RecordStep)

#if GRIDSPOT_HOST_PASS
void record_step(Stream& stream, const std::uint64_t* step, DeviceSpan<const float> terms, DeviceSpan<float> norm,
                 DeviceSpan<const std::int32_t> collisions, DeviceSpan<const std::int32_t> unplaced,
                 DeviceSpan<StepMetrics> history) {
  const std::size_t canvases = collisions.size;
  require(canvases > 0 && terms.size == 3 * canvases && unplaced.size == canvases && norm.size == 1 && history.size > 0,
          "record_step: terms, collisions and unplaced must hold the same number of canvases, at least one");
  launch(stream,
         {.grid = {1},
          .block = {RecordStep::max_block_threads},
          .shared_bytes = (RecordStep::max_block_threads + 1) * RecordStep::quantities * sizeof(float)},
         RecordStep{step, terms.data, norm.data, collisions.data, unplaced.data, canvases, history.data, history.size});
}
#endif

}  // namespace gridspot

// The numbers of a training step. One block: a warp sums each quantity over the canvases of the batch, lane by lane and
// then across the lanes in a fixed tree. Floor: 20 bytes a canvas.
#include "device/kernel.h"
#include "kernels/step_metrics.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/metrics.h"
#endif

namespace gridspot {

struct RecordStep {
  static constexpr int max_block_threads = 32;
  const std::uint64_t* step;
  const float* terms;
  float* norm;
  const std::int32_t* collisions;
  const std::int32_t* unplaced;
  std::size_t canvases;
  StepMetrics* history;
  std::size_t capacity;

  template <class Value>
  __device__ float sum(const Value* values, std::size_t stride) const {
    float total = 0;
    for (std::size_t i = threadIdx.x; i < canvases; i += 32) total += static_cast<float>(values[i * stride]);
    for (int delta = 16; delta > 0; delta /= 2) total += __shfl_down_sync(0xffffffffu, total, delta);
    return total;
  }

  __device__ void operator()() const {
    const float share = 1.0f / static_cast<float>(canvases);
    StepMetrics metrics{sum(terms, 3) * share, sum(terms + 1, 3) * share, sum(terms + 2, 3) * share, 0,
                        sum(collisions, 1),    sum(unplaced, 1)};
    if (threadIdx.x != 0) return;
    metrics.gradient_norm = *norm;
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
  launch(stream, {.grid = {1}, .block = {32}},
         RecordStep{step, terms.data, norm.data, collisions.data, unplaced.data, canvases, history.data, history.size});
}
#endif

}  // namespace gridspot

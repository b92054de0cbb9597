// Class accuracy on object cells, for evaluations. A warp takes a canvas. Floor: 4 bytes read for each cell, and for
// each object its class outputs and its label, with a comparison for each class.
#include "device/kernel.h"
#include "kernels/cell_class_counts.h"
#include "kernels/grid.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/cell_classes.h"
#include "kernels/grid_check.h"
#endif

namespace gridspot {

struct CountCellClasses {
  static constexpr int max_block_threads = 32;
  GridHead head;
  int capacity;
  const float* predictions;
  const std::int32_t *cell_object, *labels;
  CellClassCounts* counts;

  __device__ int likeliest_class(std::size_t cell) const {
    const float* outputs = predictions + cell * head.channels() + head.predictors * 5;
    int best = 0;
    for (int i = 1; i < head.classes; ++i)
      if (outputs[best] < outputs[i]) best = i;
    return best;
  }

  __device__ void operator()() const {
    const std::size_t canvas = blockIdx.x;
    const int cells = head.cells * head.cells;
    int with_object = 0, right = 0;
    for (int i = static_cast<int>(threadIdx.x); i < cells; i += 32) {
      const std::size_t cell = canvas * cells + i;
      const std::int32_t object = cell_object[cell];
      if (object < 0) continue;
      ++with_object;
      if (likeliest_class(cell) == labels[canvas * capacity + object]) ++right;
    }
    for (int delta = 16; delta > 0; delta /= 2) {
      with_object += __shfl_down_sync(0xffffffffu, with_object, delta);
      right += __shfl_down_sync(0xffffffffu, right, delta);
    }
    if (threadIdx.x == 0) counts[canvas] = {with_object, right};
  }
};

GRIDSPOT_KERNEL(CountCellClasses)

#if GRIDSPOT_HOST_PASS
void count_cell_classes(Stream& stream, const GridHead& head, int n, int capacity, DeviceSpan<const float> predictions,
                        DeviceSpan<const std::int32_t> cell_object, DeviceSpan<const std::int32_t> labels,
                        DeviceSpan<CellClassCounts> counts) {
  constexpr const char* caller = "count_cell_classes";
  require_at_least(caller, "n", n, 0);
  require_at_least(caller, "capacity", capacity, 0);
  require_at_least(caller, "cells", head.cells, 1);
  require_at_least(caller, "classes", head.classes, 1);
  const std::size_t canvases = std::size_t(n), cells = canvases * head.cells * head.cells;
  require_elements(caller, "predictions", predictions.size, cells * head.channels());
  require_elements(caller, "cell_object", cell_object.size, cells);
  require_elements(caller, "labels", labels.size, canvases * capacity);
  require_elements(caller, "counts", counts.size, canvases);
  launch(stream, {.grid = {blocks_for(canvases, 1)}, .block = {CountCellClasses::max_block_threads}},
         CountCellClasses{head, capacity, predictions.data, cell_object.data, labels.data, counts.data});
}
#endif

}  // namespace gridspot

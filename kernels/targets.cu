// Target encoding: boxes and labels [n, capacity] to the object of each cell [n, S, S]. The trainer calls it once a
// step, before the loss. Floor: 20 bytes read for each slot, 4 written for each cell; about 10 operations a slot. (It
// takes two comparisons for each cell and slot instead: there are few, and nothing waits.)
//
// A block encodes a canvas, and each of its threads has cells of its own, for which it goes through all objects: a cell
// has one writer, which sees the objects in their order.
#include "device/kernel.h"
#include "gridspot/box.h"
#include "kernels/grid_math.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/grid_check.h"
#include "kernels/targets.h"
#endif

namespace gridspot {

struct EncodeTargets {
  static constexpr int max_block_threads = 32;
  const Box* boxes;
  const std::int32_t* labels;
  std::int32_t* cell_object;
  std::int32_t* collisions;
  int capacity, cells;

  __device__ int cell(const Box& box) const { return cell_of(box.cy, cells) * cells + cell_of(box.cx, cells); }

  __device__ static float area(const Box& box) {
    const float product = box.w * box.h;
    return product > 0 ? product : 0;
  }

  __device__ void operator()() const {
    const std::size_t canvas = blockIdx.x;
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const Box* canvas_boxes = boxes + canvas * capacity;
    const std::int32_t* canvas_labels = labels + canvas * capacity;
    std::int32_t* canvas_cells = cell_object + canvas * cells * cells;
    for (int i = thread; i < cells * cells; i += threads) canvas_cells[i] = -1;
    int lost = 0;
    for (int object = 0; object < capacity; ++object) {
      if (canvas_labels[object] < 0) continue;  // the slot's box is undefined
      const int own_cell = cell(canvas_boxes[object]);
      if (own_cell % threads != thread) continue;
      std::int32_t& owner = canvas_cells[own_cell];
      if (owner >= 0) ++lost;
      if (owner < 0 || area(canvas_boxes[object]) > area(canvas_boxes[owner])) owner = object;
    }
    if (lost > 0) atomicAdd(&collisions[canvas], lost);
  }
};

GRIDSPOT_KERNEL(EncodeTargets)

#if GRIDSPOT_HOST_PASS
void encode_targets(Stream& stream, int n, int capacity, DeviceSpan<const Box> boxes,
                    DeviceSpan<const std::int32_t> labels, int cells, DeviceSpan<std::int32_t> cell_object,
                    DeviceSpan<std::int32_t> collisions) {
  const char* caller = "encode_targets";
  require_at_least(caller, "n", n, 0);
  require_at_least(caller, "capacity", capacity, 0);
  require_at_least(caller, "cells", cells, 1);
  const std::size_t count = std::size_t(n), slots = count * capacity;
  require_elements(caller, "boxes", boxes.size, slots);
  require_elements(caller, "labels", labels.size, slots);
  require_elements(caller, "cell_object", cell_object.size, count * cells * cells);
  require_elements(caller, "collisions", collisions.size, count);
  fill_bytes(stream, collisions.data, 0, count * sizeof(std::int32_t));
  launch(stream, {.grid = {blocks_for(count, 1)}, .block = {EncodeTargets::max_block_threads}},
         EncodeTargets{boxes.data, labels.data, cell_object.data, collisions.data, capacity, cells});
}
#endif

}  // namespace gridspot

// Target encoding: boxes and labels [n, capacity] to the object of each cell [n, S, S]. The trainer calls it once a
// step, before the loss. Floor: 20 bytes read for each slot, 4 written for each cell.
//
// A block encodes a canvas. An object finds out by itself whether another takes its cell, so a cell has one writer and
// no order matters.
#include "device/kernel.h"
#include "gridspot/box.h"
#include "kernels/grid_math.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/grid_check.h"
#include "kernels/targets.h"
#endif

namespace gridspot {

struct EncodeTargets {
  static constexpr int max_block_threads = 64;
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

  __device__ bool keeps_its_cell(int object, const Box* canvas_boxes, const std::int32_t* canvas_labels) const {
    const int own_cell = cell(canvas_boxes[object]);
    const float own_area = area(canvas_boxes[object]);
    for (int other = 0; other < capacity; ++other) {
      if (other == object || canvas_labels[other] < 0 || cell(canvas_boxes[other]) != own_cell) continue;
      const float other_area = area(canvas_boxes[other]);
      if (other_area > own_area || (other_area == own_area && other < object)) return false;
    }
    return true;
  }

  __device__ void operator()() const {
    const std::size_t canvas = blockIdx.x;
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const Box* canvas_boxes = boxes + canvas * capacity;
    const std::int32_t* canvas_labels = labels + canvas * capacity;
    std::int32_t* canvas_cells = cell_object + canvas * cells * cells;
    for (int i = thread; i < cells * cells; i += threads) canvas_cells[i] = -1;
    if (thread == 0) collisions[canvas] = 0;
    __syncthreads();
    for (int object = thread; object < capacity; object += threads) {
      if (canvas_labels[object] < 0) continue;
      if (keeps_its_cell(object, canvas_boxes, canvas_labels))
        canvas_cells[cell(canvas_boxes[object])] = object;
      else
        atomicAdd(&collisions[canvas], 1);
    }
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
  launch(stream, {.grid = {blocks_for(count, 1)}, .block = {EncodeTargets::max_block_threads}},
         EncodeTargets{boxes.data, labels.data, cell_object.data, collisions.data, capacity, cells});
}
#endif

}  // namespace gridspot

// Augmentation: canvases of a fixed store, scaled, moved and laid over one another, as a batch's network input. Stands
// in for gather_canvases in training. Floor: for each pixel 1 byte read of one canvas or of two, 4 bytes written (2 in
// bf16), about 20 operations for each canvas.
//
// A thread computes several pixels of one canvas; the first thread of a block draws the changes for all, and that of a
// canvas's first block moves its labels, one after the other, since each takes the next free slot.
#include "device/kernel.h"
#include "kernels/bfloat16.h"
#include "kernels/canvas_numbers.h"
#include "kernels/canvas_store.h"
#include "kernels/philox.h"
#include "kernels/sampling.h"
#include "kernels/store_order.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/augment.h"
#include "kernels/store_check.h"
#endif

namespace gridspot {

/// One source of a canvas: pixel (x, y) of the result shows (x - cx - shift) / factor + cx of the item.
struct Layer {
  std::uint32_t item;
  float factor, shift_x, shift_y;
};

struct Layers {
  Layer layer[2];
  int count;
};

/// A stored canvas, black beyond its edges.
struct StoredImage {
  const std::uint8_t* pixels;
  int height, width;

  __device__ float at(int row, int column) const {
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    return inside ? static_cast<float>(pixels[static_cast<std::size_t>(row) * width + column]) : 0.0f;
  }
  __device__ Texels2x2 texels(int row, int column) const {
    return {at(row, column), at(row, column + 1), at(row + 1, column), at(row + 1, column + 1)};
  }
};

__device__ inline Layer draw_layer(const Augmentation& augmentation, const Philox4& draw, std::uint32_t item) {
  const float exponent = uniform(draw.x, -1, 1) * logf(1 + augmentation.scale);
  return {item, augmentation.scale > 0 ? expf(exponent) : 1.0f,
          uniform(draw.y, -augmentation.shift, augmentation.shift),
          uniform(draw.z, -augmentation.shift, augmentation.shift)};
}

template <class T>
struct AugmentCanvases {
  static constexpr int max_block_threads = 256;
  static constexpr int pixels_per_thread = 16;
  CanvasStoreView store;
  GatherOrder order;
  Augmentation augmentation;
  CanvasNumbers numbers;
  int capacity;
  unsigned blocks_per_canvas;
  float mean, scale;
  T* canvas;
  Box* boxes;
  std::int32_t* labels;
  std::int32_t* counts;

  __device__ void operator()() const {
    const unsigned place = blockIdx.x / blocks_per_canvas, part = blockIdx.x % blocks_per_canvas;
    Layers* layers = shared_memory<Layers>();
    if (threadIdx.x == 0) *layers = draw_layers(place);
    __syncthreads();
    write_pixels(*layers, place, part);
    if (part == 0 && threadIdx.x == 0) write_labels(*layers, place);
  }

  __device__ Layers draw_layers(unsigned place) const {
    const auto batch_place = static_cast<std::uint32_t>(numbers[place]);
    const CanvasRandom random{order.key, *numbers.step, batch_place};
    const Philox4 first = random.draw(Purpose::augmentation, 0), second = random.draw(Purpose::augmentation, 1);
    Layers layers;
    layers.count = uniform(first.w) < augmentation.overlay ? 2 : 1;
    layers.layer[0] = draw_layer(augmentation, first, item_of(order, store.count, *numbers.step, batch_place));
    layers.layer[1] = draw_layer(augmentation, second, pick(second.w, static_cast<std::uint32_t>(store.count)));
    return layers;
  }

  __device__ float sample(const Layer& layer, int row, int column) const {
    const std::size_t size = static_cast<std::size_t>(store.height) * store.width;
    const StoredImage image{store.pixels + layer.item * size, store.height, store.width};
    const float cx = 0.5f * static_cast<float>(store.width - 1), cy = 0.5f * static_cast<float>(store.height - 1);
    return bilinear(image, (static_cast<float>(column) - cx - layer.shift_x) / layer.factor + cx,
                    (static_cast<float>(row) - cy - layer.shift_y) / layer.factor + cy);
  }

  __device__ void write_pixels(const Layers& layers, std::size_t place, unsigned part) const {
    const int size = store.height * store.width, stride = static_cast<int>(blocks_per_canvas * blockDim.x);
    for (int pixel = static_cast<int>(part * blockDim.x + threadIdx.x); pixel < size; pixel += stride) {
      const int row = pixel / store.width, column = pixel % store.width;
      float value = sample(layers.layer[0], row, column);
      if (layers.count > 1) value += sample(layers.layer[1], row, column);
      canvas[place * static_cast<std::size_t>(size) + pixel] =
          from_float<T>((fminf(value, 255.0f) / 255.0f - mean) * scale);
    }
  }

  /// The box after the change, clipped; false where too little of it is left.
  __device__ bool move_box(const Layer& layer, Box& box) const {
    if (layer.factor == 1 && layer.shift_x == 0 && layer.shift_y == 0) return true;
    const float cx = (box.cx - 0.5f) * layer.factor + 0.5f + layer.shift_x / static_cast<float>(store.width);
    const float cy = (box.cy - 0.5f) * layer.factor + 0.5f + layer.shift_y / static_cast<float>(store.height);
    const float half_w = 0.5f * box.w * layer.factor, half_h = 0.5f * box.h * layer.factor;
    const float left = fmaxf(cx - half_w, 0.0f), right = fminf(cx + half_w, 1.0f);
    const float top = fmaxf(cy - half_h, 0.0f), bottom = fminf(cy + half_h, 1.0f);
    box = {0.5f * (left + right), 0.5f * (top + bottom), right - left, bottom - top};
    const float area = 4 * half_w * half_h;
    return cx >= 0 && cx <= 1 && cy >= 0 && cy <= 1 && box.w * box.h >= least_remaining_share * area;
  }

  __device__ void write_labels(const Layers& layers, std::size_t place) const {
    const std::size_t row = place * capacity;
    int count = 0;
    for (int i = 0; i < layers.count; ++i) {
      const Layer& layer = layers.layer[i];
      const std::size_t from = static_cast<std::size_t>(layer.item) * store.capacity;
      for (int slot = 0; slot < store.counts[layer.item]; ++slot) {
        Box box = store.boxes[from + slot];
        if (!move_box(layer, box)) continue;
        boxes[row + count] = box;
        labels[row + count++] = store.labels[from + slot];
      }
    }
    counts[place] = count;
    for (; count < capacity; ++count) {
      boxes[row + count] = {};
      labels[row + count] = -1;
    }
  }
};

GRIDSPOT_KERNEL(AugmentCanvases<float>)
GRIDSPOT_KERNEL(AugmentCanvases<bfloat16>)

#if GRIDSPOT_HOST_PASS
void augment_canvases(Stream& stream, const CanvasStoreView& store, const GatherOrder& order,
                      const Augmentation& augmentation, CanvasNumbers numbers, int n, Normalization normalization,
                      TensorSpan canvas, DeviceSpan<Box> boxes, DeviceSpan<std::int32_t> labels,
                      DeviceSpan<std::int32_t> counts, int capacity) {
  constexpr const char* caller = "augment_canvases";
  const auto require_range = [&](const char* name, float value, float most) {
    require_that(value >= 0 && value <= most, caller, ": ", name, " must lie in [0, ", most, "], it is ", value);
  };
  require_range("scale", augmentation.scale, most_scale);
  require_range("shift", augmentation.shift, most_shift);
  require_range("overlay", augmentation.overlay, 1);
  require_stored_batch(caller, store, order, numbers.first, n, normalization,
                       {canvas.size, boxes.size, labels.size, counts.size}, capacity,
                       augmentation.overlay > 0 ? 2 * store.capacity : store.capacity);
  with_type_of(canvas.dtype, [&]<class T>(std::type_identity<T>) {
    using Kernel = AugmentCanvases<T>;
    const unsigned blocks = blocks_for(std::size_t(store.height) * store.width,
                                       std::size_t{Kernel::max_block_threads} * Kernel::pixels_per_thread);
    launch(stream,
           {.grid = {blocks_for(std::size_t(n) * blocks, 1)},
            .block = {Kernel::max_block_threads},
            .shared_bytes = sizeof(Layers)},
           Kernel{store, order, augmentation, numbers, capacity, blocks, normalization.mean,
                  1 / normalization.deviation, canvas.as<T>(caller).data, boxes.data, labels.data, counts.data});
  });
}
#endif

}  // namespace gridspot

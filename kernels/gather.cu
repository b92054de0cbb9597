// Gathering: canvases of a fixed store, u8 [count, height, width] with their labels, to a batch's network input and
// label slots. Stands in for sample_scenes and compose_canvases where a data set is given instead of a protocol.
// Floor: each pixel is read once (1 byte) and written once (4 bytes, 2 in bf16), with 2 operations; 20 bytes read and
// written for each slot.
//
// A thread copies several packs of one canvas; the first block of a canvas also copies its labels. Which item a canvas
// is takes some thousand instructions in a shuffled order, so one thread of a block finds it for all.
#include "device/kernel.h"
#include "kernels/bfloat16.h"
#include "kernels/canvas_numbers.h"
#include "kernels/canvas_store.h"
#include "kernels/pack.h"
#include "kernels/store_order.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/gather.h"
#include "kernels/store_check.h"
#endif

namespace gridspot {

template <class T>
struct GatherCanvases {
  static constexpr int max_block_threads = 256;
  static constexpr int packs_per_thread = 8;
  CanvasStoreView store;
  GatherOrder order;
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
    const std::size_t item = order.shuffle ? shared_item(place) : item_of(place);
    copy_pixels(item, place, part);
    if (part == 0) copy_labels(item, place);
  }

  __device__ std::uint32_t shared_item(unsigned place) const {
    std::uint32_t* item = shared_memory<std::uint32_t>();
    if (threadIdx.x == 0) *item = item_of(place);
    __syncthreads();
    return *item;
  }

  __device__ std::uint32_t item_of(unsigned place) const {
    return gridspot::item_of(order, store.count, *numbers.step, numbers[place]);
  }

  __device__ void copy_pixels(std::size_t item, std::size_t place, unsigned part) const {
    const std::size_t size = static_cast<std::size_t>(store.height) * store.width;
    const std::uint8_t* from = store.pixels + item * size;
    T* to = canvas + place * size;
    const std::size_t stride = std::size_t{blocks_per_canvas} * blockDim.x * pack_width;
    for (std::size_t first = (std::size_t{part} * blockDim.x + threadIdx.x) * pack_width; first < size;
         first += stride) {
      const int length = pack_length(size, first);
      store_pack(to + first, length, normalized(load_pack(from + first, length)));
    }
  }

  // A division, not a product with 1 / 255: v / 255 is then the float nearest to it, and no compiler contracts it with
  // the subtraction.
  __device__ Pack normalized(const Pack& values) const {
    return lanewise([this](auto value) { return (value / 255.0f - mean) * scale; }, values);
  }

  __device__ void copy_labels(std::size_t item, std::size_t place) const {
    const int count = store.counts[item];
    if (threadIdx.x == 0) counts[place] = count;
    for (int slot = static_cast<int>(threadIdx.x); slot < capacity; slot += static_cast<int>(blockDim.x)) {
      const std::size_t from = item * store.capacity + slot, to = place * capacity + slot;
      labels[to] = slot < count ? store.labels[from] : -1;
      boxes[to] = slot < count ? store.boxes[from] : Box{};
    }
  }
};

GRIDSPOT_KERNEL(GatherCanvases<float>)
GRIDSPOT_KERNEL(GatherCanvases<bfloat16>)

#if GRIDSPOT_HOST_PASS
void gather_canvases(Stream& stream, const CanvasStoreView& store, const GatherOrder& order, CanvasNumbers numbers,
                     int n, Normalization normalization, TensorSpan canvas, DeviceSpan<Box> boxes,
                     DeviceSpan<std::int32_t> labels, DeviceSpan<std::int32_t> counts, int capacity) {
  constexpr const char* caller = "gather_canvases";
  require_stored_batch(caller, store, order, numbers.first, n, normalization,
                       {canvas.size, boxes.size, labels.size, counts.size}, capacity, store.capacity);
  const std::size_t places = std::size_t(n), size = std::size_t(store.height) * store.width;
  with_type_of(canvas.dtype, [&]<class T>(std::type_identity<T>) {
    using Kernel = GatherCanvases<T>;
    const unsigned blocks =
        blocks_for(size, std::size_t{Kernel::max_block_threads} * Kernel::packs_per_thread * pack_width);
    launch(stream,
           {.grid = {blocks_for(places * blocks, 1)},
            .block = {Kernel::max_block_threads},
            .shared_bytes = order.shuffle ? sizeof(std::uint32_t) : 0},
           Kernel{store, order, numbers, capacity, blocks, normalization.mean, 1 / normalization.deviation,
                  canvas.as<T>(caller).data, boxes.data, labels.data, counts.data});
  });
}
#endif

}  // namespace gridspot

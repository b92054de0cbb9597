#pragma once
// Small stores of canvases.
#include <cstdint>
#include <vector>

#include "device/buffer.h"
#include "kernels/canvas_store.h"
#include "tests/support/device_test.h"

namespace gridspot::test {

/// A store on the host.
struct Store {
  int count, height, width, capacity;
  std::vector<std::uint8_t> pixels;
  std::vector<Box> boxes;
  std::vector<std::int32_t> labels, counts;
};

/// Pixels, numbers of labels, labels and boxes of any value.
inline Store random_store(Random& random, int count, int height, int width, int capacity) {
  const std::size_t slots = std::size_t(count) * capacity;
  Store store{count, height, width, capacity, {}, std::vector<Box>(slots), std::vector<std::int32_t>(slots, -1), {}};
  store.pixels.resize(std::size_t(count) * height * width);
  for (std::uint8_t& pixel : store.pixels) pixel = std::uint8_t(random.integer(0, 255));
  for (int item = 0; item < count; ++item) {
    store.counts.push_back(random.integer(0, capacity));
    for (int slot = item * capacity; slot < item * capacity + store.counts.back(); ++slot) {
      store.labels[slot] = random.integer(0, 9);
      store.boxes[slot] = {random.uniform(), random.uniform(), random.uniform(), random.uniform()};
    }
  }
  return store;
}

/// The same on the device.
class DeviceStore {
 public:
  DeviceStore(Stream& stream, const Store& store)
      : pixels_(upload(stream, store.pixels)),
        boxes_(upload(stream, store.boxes)),
        labels_(upload(stream, store.labels)),
        counts_(upload(stream, store.counts)),
        view_{pixels_.data(), boxes_.data(), labels_.data(), counts_.data(),
              store.count,    store.height,  store.width,    store.capacity} {}
  [[nodiscard]] const CanvasStoreView& view() const { return view_; }

 private:
  Buffer<std::uint8_t> pixels_;
  Buffer<Box> boxes_;
  Buffer<std::int32_t> labels_, counts_;
  CanvasStoreView view_;
};

}  // namespace gridspot::test

#pragma once
// Measures which of several ways to do the same is the fastest.
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "device/buffer.h"

namespace gridspot {

/// Which of `count` ways to do the same takes the shortest; run(i) enqueues the i-th. Each is captured as a graph of
/// several calls and launched in turn; its shortest launch counts. Of those within 2% of the shortest the first: a
/// library proposes the best first. One that throws DeviceError is left out; throws DeviceError where all do.
std::size_t fastest(Stream& stream, std::size_t count, const std::function<void(std::size_t)>& run);

/// The rule of fastest(): the first whose time is within 2% of the shortest.
std::size_t first_of_the_fastest(std::span<const double> times);

/// Device memory to measure on, filled with a value that no operation makes infinite.
class TrialTensors {
 public:
  explicit TrialTensors(Stream& stream) : stream_(stream) {}
  /// Holds as long as this object.
  void* add(std::size_t bytes);

 private:
  Stream& stream_;
  std::vector<Buffer<std::byte>> buffers_;
};

}  // namespace gridspot

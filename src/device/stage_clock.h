#pragma once
// Where the time of a step goes.
#include <array>
#include <chrono>
#include <functional>

#include "device/stream.h"

namespace gridspot {

enum class Stage { scene, canvas, targets, forward, loss, backward, optimizer, nms };  // nms: with decoding
inline constexpr std::array<const char*, 8> stage_names{"scene", "canvas",   "targets",   "forward",
                                                        "loss",  "backward", "optimizer", "nms"};

/// Seconds spent in each stage. Synchronises the stream around each, so it is for measuring only. One thread at a time.
class StageClock {
 public:
  /// Runs `work` and adds its time to the stage's.
  template <class Work>
  void measure(Stage stage, Stream& stream, const Work& work) {
    stream.synchronize();
    const auto start = std::chrono::steady_clock::now();
    work();
    stream.synchronize();
    seconds_[static_cast<int>(stage)] +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  [[nodiscard]] double seconds(Stage stage) const { return seconds_[static_cast<int>(stage)]; }
  void add(const StageClock& other) {
    for (std::size_t i = 0; i < seconds_.size(); ++i) seconds_[i] += other.seconds_[i];
  }

 private:
  std::array<double, stage_names.size()> seconds_{};
};

/// Runs `work`, timed when there is a clock.
template <class Work>
void timed(StageClock* clock, Stage stage, Stream& stream, const Work& work) {
  if (clock == nullptr) return work();
  clock->measure(stage, stream, work);
}

}  // namespace gridspot

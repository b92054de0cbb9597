#pragma once
// Where the time of a step goes.
#include <array>
#include <chrono>
#include <vector>

#include "device/stream.h"

namespace gridspot {

enum class Stage { scene, canvas, targets, forward, loss, backward, optimizer, nms };  // nms: with decoding
inline constexpr std::array<const char*, 8> stage_names{"scene", "canvas",   "targets",   "forward",
                                                        "loss",  "backward", "optimizer", "nms"};

/// Seconds spent in each stage. On CUDA events in the stream tell them, as part of a graph too, and nothing waits
/// before take(): what is measured is the device's time, not the host's. Move-only; while a graph that was captured
/// with a clock is launched, the clock must be there. One thread at a time.
class StageClock {
 public:
  StageClock() = default;
  ~StageClock();
  StageClock(StageClock&&) = default;
  StageClock& operator=(StageClock&&) = delete;

  /// Calls `work`, which enqueues a stage on `stream`, and measures it: once, or, in a capture, at every launch.
  template <class Work>
  void measure(Stage stage, Stream& stream, const Work& work) {
    if (stream.is_cuda()) {
      spans_.push_back(begin_span(stage, stream));
      work();
      return end_span(stream);
    }
    stream.submit([this](Stream&) { start_ = Clock::now(); });
    work();
    stream.submit([this, stage](Stream&) {
      seconds_[static_cast<int>(stage)] += std::chrono::duration<double>(Clock::now() - start_).count();
    });
  }

  /// After a step, eager or by the launch of a graph: waits for it and adds up its stages.
  void take();
  /// Of the steps that were taken.
  [[nodiscard]] double seconds(Stage stage) const { return seconds_[static_cast<int>(stage)]; }
  void add(const StageClock& other);
  /// Forgets the steps that were taken.
  void reset() { seconds_ = {}; }

 private:
  using Clock = std::chrono::steady_clock;
  /// Two timed events.
  struct Span {
    Stage stage;
    int device;
    void *begin, *end;
    bool captured;
  };
  static Span begin_span(Stage stage, Stream& stream);
  void end_span(Stream& stream);

  std::array<double, stage_names.size()> seconds_{};
  Clock::time_point start_;
  std::vector<Span> spans_;  ///< on CUDA: of graphs, and of eager work that was not taken yet
};

/// Calls `work`, measured where there is a clock.
template <class Work>
void timed(StageClock* clock, Stage stage, Stream& stream, const Work& work) {
  if (clock == nullptr) return work();
  clock->measure(stage, stream, work);
}

}  // namespace gridspot

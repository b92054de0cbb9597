#pragma once
// Canvas to detections: forward, then decoding and suppression in one launch.
#include <map>
#include <tuple>

#include "device/graph.h"
#include "device/stage_clock.h"
#include "kernels/nms.h"
#include "nn/network_executor.h"

namespace gridspot {

struct DetectionSettings {
  float score_threshold = 0.25f;  ///< of objectness times class probability
  float nms_threshold = 0.45f;    ///< IoU above which the lower score is suppressed
  bool class_agnostic = false;
  int capacity = 100;  ///< detections an image
  Precision precision = Precision::tf32;
  EngineSettings engines;
  int threads = 1;  ///< of the CPU: at most so many share a call (sharing_threads()); the result does not depend on it
};

/// For one batch size on one device; everything is allocated at construction. One thread at a time.
class Detector {
 public:
  /// Throws InvalidInput for a classifier.
  Detector(const Network& network, Device device, int batch, const DetectionSettings& settings);

  /// weights: the network's flat buffer. input: [batch, height, width, channels], normalised; float32, under bf16
  /// bfloat16 as well. Enqueues; the view holds until the next call.
  ///
  /// From the second call with the same memory for weights and input on, whatever it holds by then, a call is the
  /// launch of one graph (see ReplayedWork). There are graphs for the first `most_graphs` choices of memory; calls with
  /// others are enqueued anew. Not for work that is itself captured.
  DetectionsView run(Stream& stream, const NetworkWeights& weights, ConstTensorSpan input);
  static constexpr std::size_t most_graphs = 8;

  /// From the next call on, which runs as the first one does.
  void set_score_threshold(float threshold);

  /// What run() replays, enqueued anew: as part of a larger graph, or stage by stage with a clock.
  DetectionsView enqueue(Stream& stream, const NetworkWeights& weights, ConstTensorSpan input,
                         StageClock* clock = nullptr);

  /// The network's output of the last run: [batch, cells, cells, channels].
  [[nodiscard]] DeviceSpan<const float> predictions() const { return predictions_; }
  /// Where run() leaves what it finds.
  [[nodiscard]] DetectionsView detections() const { return detections_.view(); }
  [[nodiscard]] int batch() const { return executor_.batch(); }
  /// That share a call.
  [[nodiscard]] int threads() const { return executor_.threads(); }
  /// What was allocated.
  [[nodiscard]] std::size_t bytes() const;

 private:
  GridHead head_;
  DetectionSettings settings_;
  NetworkExecutor executor_;
  Detections detections_;
  DeviceSpan<const float> predictions_;

  using Call = std::tuple<const float*, std::size_t, const bfloat16*, std::size_t, const std::uint64_t*, const void*,
                          std::size_t, DType>;
  std::map<Call, ReplayedWork> replayed_;
};

}  // namespace gridspot

#pragma once
// Canvas to detections: forward, then decoding and suppression in one launch.
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
  DetectionsView run(Stream& stream, const NetworkWeights& weights, ConstTensorSpan input, StageClock* clock = nullptr);

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
};

}  // namespace gridspot

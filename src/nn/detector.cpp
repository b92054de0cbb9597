#include "nn/detector.h"

#include "kernels/decode.h"

namespace gridspot {

Detector::Detector(const Network& network, Device device, int batch, const DetectionSettings& settings)
    : head_(network.spec().detector),
      settings_(settings),
      executor_(network, device, batch, {.training = false}),
      boxes_(device, std::size_t(batch) * head_.slots()),
      scores_(device, std::size_t(batch) * head_.slots()),
      classes_(device, std::size_t(batch) * head_.slots()),
      detections_(device, batch, settings.capacity) {}

DetectionsView Detector::run(Stream& stream, DeviceSpan<const float> weights, DeviceSpan<const float> input,
                             StageClock* clock) {
  timed(clock, Stage::forward, stream, [&] { predictions_ = executor_.forward(stream, weights, input); });
  timed(clock, Stage::decode, stream, [&] {
    decode_grid(stream, head_, batch(), settings_.score_threshold, predictions_, boxes_, scores_, classes_);
  });
  timed(clock, Stage::nms, stream, [&] {
    suppress(stream, batch(), head_.slots(), boxes_, scores_, classes_, settings_.nms_threshold,
             settings_.class_agnostic, detections_.view());
  });
  return detections_.view();
}

}  // namespace gridspot

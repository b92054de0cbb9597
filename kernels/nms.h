#pragma once
// Exact greedy non-maximum suppression.
#include <cstdint>

#include "device/buffer.h"
#include "kernels/detections_view.h"
#include "kernels/grid.h"

namespace gridspot {

/// Owns the memory of a DetectionsView.
class Detections {
 public:
  /// Contents undefined. Throws InvalidInput when n or capacity is negative, OutOfMemory.
  Detections(Device device, int n, int capacity);
  [[nodiscard]] DetectionsView view() const;

  Buffer<Box> boxes;
  Buffer<float> scores;
  Buffer<std::int32_t> classes, counts, truncated;

 private:
  int n_, capacity_;
};

inline constexpr int max_nms_slots = 8192;

/// Takes candidates in the order of falling score (ties: the lower slot) and keeps each whose IoU with every kept one
/// (of its class, unless class_agnostic) is at most `iou_threshold`. Slots with score <= 0 or NaN are no candidates;
/// the IoU with a box without area is 0. boxes, scores, classes: [n, slots], slots <= max_nms_slots. One launch for the
/// batch. Enqueues on the stream. Throws InvalidInput when sizes do not fit or the threshold lies outside [0, 1].
void suppress(Stream& stream, int n, int slots, DeviceSpan<const Box> boxes, DeviceSpan<const float> scores,
              DeviceSpan<const std::int32_t> classes, float iou_threshold, bool class_agnostic,
              const DetectionsView& detections);

/// decode_grid (kernels/decode.h) with `score_threshold` and suppress with the rest, as one launch for the batch and to
/// the same bits. predictions: [n, S, S, channels], head.slots() <= max_nms_slots. Enqueues on the stream. Throws
/// InvalidInput where one of the two would.
void decode_and_suppress(Stream& stream, const GridHead& head, int n, float score_threshold,
                         DeviceSpan<const float> predictions, float iou_threshold, bool class_agnostic,
                         const DetectionsView& detections);

}  // namespace gridspot

#pragma once
// COCO's average precision of one class at one IoU threshold.
#include <array>
#include <cstdint>
#include <span>

#include "eval/evaluation.h"

namespace gridspot::eval {

enum class Outcome : std::uint8_t {
  true_positive,
  false_positive,
  ignored,  ///< counts neither for nor against
};

/// Precision at the recalls 0, 0.01, ..., 1: the best precision reached at that recall or a higher one, 0 where the
/// recall is not reached; and the score at which the recall is reached.
struct PrecisionCurve {
  std::array<double, recall_count> precision{}, score{};
  /// The mean over the recalls.
  [[nodiscard]] double average() const;
};

/// recall_count recalls; element i is what numpy's linspace(0, 1, 101)[i] is.
double recall_point(std::size_t i);
/// Element i of linspace(0.5, 0.95, 10).
double iou_threshold(std::size_t i);

/// `outcomes` and `scores` of the class's detections by falling score; `objects` > 0.
PrecisionCurve precision_curve(std::span<const Outcome> outcomes, std::span<const float> scores, std::int64_t objects);

}  // namespace gridspot::eval

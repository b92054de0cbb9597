#include "eval/average_precision.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace gridspot::eval {

double PrecisionCurve::average() const {
  return std::accumulate(precision.begin(), precision.end(), 0.0) / static_cast<double>(recall_count);
}

double recall_point(std::size_t i) { return i == recall_count - 1 ? 1.0 : static_cast<double>(i) * (1.0 / 100); }

double iou_threshold(std::size_t i) {
  return i == iou_threshold_count - 1 ? 0.95 : 0.5 + static_cast<double>(i) * ((0.95 - 0.5) / 9);
}

PrecisionCurve precision_curve(std::span<const Outcome> outcomes, std::span<const float> scores, std::int64_t objects) {
  std::vector<double> recall, precision;
  double true_positives = 0, false_positives = 0;
  for (const auto outcome : outcomes) {
    if (outcome == Outcome::true_positive) ++true_positives;
    if (outcome == Outcome::false_positive) ++false_positives;
    recall.push_back(true_positives / static_cast<double>(objects));
    // COCO adds the smallest step above 1 against a division by zero.
    precision.push_back(true_positives / (false_positives + true_positives + std::numeric_limits<double>::epsilon()));
  }
  for (std::size_t i = precision.size(); i-- > 1;) precision[i - 1] = std::max(precision[i - 1], precision[i]);

  PrecisionCurve curve;
  for (std::size_t i = 0; i < recall_count; ++i) {
    const auto reached = std::lower_bound(recall.begin(), recall.end(), recall_point(i)) - recall.begin();
    if (reached == static_cast<std::ptrdiff_t>(recall.size())) break;
    curve.precision[i] = precision[static_cast<std::size_t>(reached)];
    curve.score[i] = scores[static_cast<std::size_t>(reached)];
  }
  return curve;
}

}  // namespace gridspot::eval

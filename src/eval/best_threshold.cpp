#include "eval/best_threshold.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "eval/errors.h"

namespace gridspot::eval {

float best_f1_threshold(const PreparedSet& prepared) {
  // Which object a detection takes depends on those with higher scores alone: one matching holds for all thresholds.
  std::vector<std::pair<float, bool>> found;
  for (const auto& image : images_above(prepared, std::numeric_limits<float>::lowest())) {
    const OverlapTable overlaps(image.detections, image.objects);
    const ImageVerdicts verdicts = judge(overlaps, image.detection_classes, image.object_classes);
    for (std::size_t d = 0; d < image.scores.size(); ++d)
      found.emplace_back(image.scores[d], verdicts.detections[d] == Verdict::true_positive);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  float best = 1;
  double best_f1 = 0, true_positives = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    true_positives += found[i].second ? 1 : 0;
    if (i + 1 < found.size() && found[i + 1].first == found[i].first) continue;
    const double f1 = 2 * true_positives / static_cast<double>(i + 1 + prepared.set.objects.size());
    if (f1 <= best_f1) continue;
    best_f1 = f1;
    best = found[i].first;
  }
  return best;
}

float score_threshold(const PreparedSet& prepared, const Options& options) {
  return options.score_threshold ? *options.score_threshold : best_f1_threshold(prepared);
}

}  // namespace gridspot::eval

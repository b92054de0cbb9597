#include "eval/errors.h"

namespace gridspot::eval {
namespace {

constexpr double match_overlap = 0.5, localisation_overlap = 0.1;

struct Best {
  double overlap = 0;
  std::size_t object = 0;
};

/// A detection's highest overlap with an object of its class, or of any other class; of equal overlaps the first.
Best best_overlap(const OverlapTable& overlaps, std::size_t detection, int its_class,
                  std::span<const int> object_classes, bool same_class) {
  Best best;
  for (std::size_t o = 0; o < overlaps.objects(); ++o)
    if ((object_classes[o] == its_class) == same_class && overlaps.at(detection, o) > best.overlap)
      best = {overlaps.at(detection, o), o};
  return best;
}

}  // namespace

ErrorTally::ErrorTally(std::size_t classes)
    : per_class(classes), confusion(classes + 1, std::vector<std::int64_t>(classes + 1, 0)) {}

void ErrorTally::add_image(std::span<const PixelBox> detections, std::span<const int> detection_classes,
                           std::span<const PixelBox> objects, std::span<const int> object_classes) {
  const OverlapTable overlaps(detections, objects);
  count_errors(overlaps, detection_classes, object_classes);
  count_confusion(overlaps, detection_classes, object_classes);
}

void ErrorTally::count_errors(const OverlapTable& overlaps, std::span<const int> detection_classes,
                              std::span<const int> object_classes) {
  const auto object_of = match(overlaps.within_classes(detection_classes, object_classes), match_overlap);
  std::vector<bool> seen(overlaps.objects(), false);
  for (std::size_t d = 0; d < overlaps.detections(); ++d) {
    const int its_class = detection_classes[d];
    auto& counts = per_class[static_cast<std::size_t>(its_class)];
    const auto own = best_overlap(overlaps, d, its_class, object_classes, true);
    const auto other = best_overlap(overlaps, d, its_class, object_classes, false);
    if (object_of[d] != unmatched) {
      ++counts.true_positives;
      seen[static_cast<std::size_t>(object_of[d])] = true;
    } else if (own.overlap >= match_overlap) {
      ++counts.duplicates;
    } else if (other.overlap >= match_overlap) {
      ++counts.class_errors;
      seen[other.object] = true;
    } else if (own.overlap >= localisation_overlap) {
      ++counts.localisation_errors;
      seen[own.object] = true;
    } else {
      ++counts.background;
    }
  }
  for (std::size_t o = 0; o < overlaps.objects(); ++o)
    if (!seen[o]) ++per_class[static_cast<std::size_t>(object_classes[o])].misses;
}

void ErrorTally::count_confusion(const OverlapTable& overlaps, std::span<const int> detection_classes,
                                 std::span<const int> object_classes) {
  const auto object_of = match(overlaps, match_overlap);
  const std::size_t background = per_class.size();
  std::vector<bool> taken(overlaps.objects(), false);
  for (std::size_t d = 0; d < overlaps.detections(); ++d) {
    std::size_t row = background;
    if (object_of[d] != unmatched) {
      const auto object = static_cast<std::size_t>(object_of[d]);
      taken[object] = true;
      row = static_cast<std::size_t>(object_classes[object]);
    }
    ++confusion[row][static_cast<std::size_t>(detection_classes[d])];
  }
  for (std::size_t o = 0; o < overlaps.objects(); ++o)
    if (!taken[o]) ++confusion[static_cast<std::size_t>(object_classes[o])][background];
}

}  // namespace gridspot::eval

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

ImageVerdicts judge(const OverlapTable& overlaps, std::span<const int> detection_classes,
                    std::span<const int> object_classes) {
  ImageVerdicts verdicts{.detections = {},
                         .object_of = match(overlaps.within_classes(detection_classes, object_classes), match_overlap),
                         .found = std::vector<bool>(overlaps.objects(), false),
                         .missed = std::vector<bool>(overlaps.objects(), true)};
  const auto decide = [&](std::size_t detection, Verdict verdict, std::size_t object) {
    verdicts.detections.push_back(verdict);
    verdicts.object_of[detection] = static_cast<std::int32_t>(object);
    if (verdict == Verdict::true_positive) verdicts.found[object] = true;
    if (verdict != Verdict::duplicate) verdicts.missed[object] = false;
  };
  for (std::size_t d = 0; d < overlaps.detections(); ++d) {
    const auto own = best_overlap(overlaps, d, detection_classes[d], object_classes, true);
    const auto other = best_overlap(overlaps, d, detection_classes[d], object_classes, false);
    if (verdicts.object_of[d] != unmatched)
      decide(d, Verdict::true_positive, static_cast<std::size_t>(verdicts.object_of[d]));
    else if (own.overlap >= match_overlap)
      decide(d, Verdict::duplicate, own.object);
    else if (other.overlap >= match_overlap)
      decide(d, Verdict::class_error, other.object);
    else if (own.overlap >= localisation_overlap)
      decide(d, Verdict::localisation_error, own.object);
    else
      verdicts.detections.push_back(Verdict::background);
  }
  return verdicts;
}

void count(Verdict verdict, ErrorCounts& counts) {
  switch (verdict) {
    case Verdict::true_positive:
      ++counts.true_positives;
      return;
    case Verdict::duplicate:
      ++counts.duplicates;
      return;
    case Verdict::class_error:
      ++counts.class_errors;
      return;
    case Verdict::localisation_error:
      ++counts.localisation_errors;
      return;
    case Verdict::background:
      ++counts.background;
      return;
  }
}

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
  const ImageVerdicts verdicts = judge(overlaps, detection_classes, object_classes);
  for (std::size_t d = 0; d < overlaps.detections(); ++d)
    count(verdicts.detections[d], per_class[static_cast<std::size_t>(detection_classes[d])]);
  for (std::size_t o = 0; o < overlaps.objects(); ++o)
    if (verdicts.missed[o]) ++per_class[static_cast<std::size_t>(object_classes[o])].misses;
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

#include "eval/evaluation.h"

#include <algorithm>
#include <set>
#include <span>

#include "eval/average_precision.h"
#include "eval/best_threshold.h"
#include "eval/errors.h"
#include "eval/matching.h"
#include "eval/prepared_set.h"
#include "eval/score_order.h"
#include "gridspot/error.h"
#include "kernels/grid_math.h"

namespace gridspot::eval {
namespace {

/// The detections of a class, image after image as COCO lists them, with what became of each at each IoU threshold.
struct ClassOutcomes {
  std::vector<float> scores;
  std::array<std::vector<Outcome>, iou_threshold_count> outcomes;

  void add_image(std::span<const PixelBox> detections, std::span<const PixelBox> objects) {
    const OverlapTable overlaps(detections, objects);
    for (std::size_t t = 0; t < iou_threshold_count; ++t) {
      const auto object_of = match(overlaps, iou_threshold(t));
      for (std::size_t d = 0; d < detections.size(); ++d)
        outcomes[t].push_back(object_of[d] != unmatched     ? Outcome::true_positive
                              : counted_area(detections[d]) ? Outcome::false_positive
                                                            : Outcome::ignored);
    }
  }
};

void measure_average_precision(const ClassOutcomes& listed, ClassEvaluation& evaluation) {
  const auto order = order_by_falling_score(listed.scores);
  const auto scores = gather<float>(listed.scores, order);
  double sum = 0;
  for (std::size_t t = 0; t < iou_threshold_count; ++t) {
    const auto curve = precision_curve(gather<Outcome>(listed.outcomes[t], order), scores, evaluation.objects);
    sum += curve.average();
    if (t > 0) continue;
    evaluation.ap50 = curve.average();
    for (std::size_t i = 0; i < recall_count; ++i)
      evaluation.curve.push_back({recall_point(i), curve.precision[i], curve.score[i]});
  }
  evaluation.ap50_95 = sum / static_cast<double>(iou_threshold_count);
}

void measure_average_precision(const PreparedSet& prepared, std::vector<ClassEvaluation>& per_class) {
  const auto objects = prepared.by_class_and_image(prepared.object_images, prepared.object_classes);
  const auto detections = prepared.by_class_and_image(prepared.detection_images, prepared.detection_classes);
  for (std::size_t c = 0; c < per_class.size(); ++c) {
    if (per_class[c].objects == 0) continue;
    ClassOutcomes listed;
    for (std::size_t image = 0; image < prepared.set.images.size(); ++image) {
      const auto group = prepared.group(image, static_cast<int>(c));
      if (detections[group].empty()) continue;
      for (const auto d : detections[group]) listed.scores.push_back(prepared.scores[d]);
      listed.add_image(gather<PixelBox>(prepared.detection_boxes, detections[group]),
                       gather<PixelBox>(prepared.object_boxes, objects[group]));
    }
    measure_average_precision(listed, per_class[c]);
  }
}

ErrorTally tally_errors(const PreparedSet& prepared, float score_threshold) {
  ErrorTally tally(prepared.classes());
  for (const auto& image : images_above(prepared, score_threshold))
    tally.add_image(image.detections, image.detection_classes, image.objects, image.object_classes);
  return tally;
}

std::int64_t detections_of(const ErrorCounts& counts) {
  return counts.true_positives + counts.duplicates + counts.class_errors + counts.localisation_errors +
         counts.background;
}

void add(ErrorCounts& sum, const ErrorCounts& counts) {
  sum.true_positives += counts.true_positives;
  sum.duplicates += counts.duplicates;
  sum.class_errors += counts.class_errors;
  sum.localisation_errors += counts.localisation_errors;
  sum.background += counts.background;
  sum.misses += counts.misses;
}

double ratio(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// For a class or the whole: both have the same members.
template <class Counted>
void derive_rates(Counted& counted) {
  counted.detections = detections_of(counted.errors);
  counted.precision = ratio(counted.errors.true_positives, counted.detections);
  counted.recall = ratio(counted.errors.true_positives, counted.objects);
  counted.f1 = ratio(2 * counted.errors.true_positives, counted.detections + counted.objects);
}

/// The mean over the classes that have objects, -1 without any.
double mean_over_classes(const std::vector<ClassEvaluation>& per_class, double ClassEvaluation::*measure) {
  double sum = 0;
  int count = 0;
  for (const auto& evaluation : per_class)
    if (evaluation.objects > 0) {
      sum += evaluation.*measure;
      ++count;
    }
  return count == 0 ? -1 : sum / count;
}

}  // namespace

double collision_ceiling(const EvaluationSet& set, int cells) {
  require(cells >= 1, "cells must be at least 1, found " + std::to_string(cells));
  std::set<std::array<int, 3>> occupied;
  for (const auto& object : set.objects)
    occupied.insert({object.image, cell_of(object.box.cy, cells), cell_of(object.box.cx, cells)});
  return set.objects.empty() ? 1 : static_cast<double>(occupied.size()) / static_cast<double>(set.objects.size());
}

Evaluation evaluate(const EvaluationSet& set, const Options& options) {
  check(options);
  const PreparedSet prepared(set, options.max_detections);
  Evaluation evaluation;
  evaluation.images = static_cast<std::int64_t>(set.images.size());
  evaluation.objects = static_cast<std::int64_t>(set.objects.size());
  evaluation.score_threshold = score_threshold(prepared, options);
  for (const auto& name : set.class_names) evaluation.per_class.emplace_back().name = name;
  for (const auto& object : set.objects) ++evaluation.per_class[static_cast<std::size_t>(object.class_id)].objects;

  measure_average_precision(prepared, evaluation.per_class);
  evaluation.map50 = mean_over_classes(evaluation.per_class, &ClassEvaluation::ap50);
  evaluation.map50_95 = mean_over_classes(evaluation.per_class, &ClassEvaluation::ap50_95);

  auto tally = tally_errors(prepared, evaluation.score_threshold);
  for (std::size_t c = 0; c < evaluation.per_class.size(); ++c) {
    evaluation.per_class[c].errors = tally.per_class[c];
    derive_rates(evaluation.per_class[c]);
    add(evaluation.errors, tally.per_class[c]);
  }
  derive_rates(evaluation);
  evaluation.confusion = std::move(tally.confusion);
  evaluation.cells = options.cells;
  if (options.cells > 0) evaluation.collision_ceiling = collision_ceiling(set, options.cells);
  return evaluation;
}

}  // namespace gridspot::eval

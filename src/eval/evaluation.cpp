#include "eval/evaluation.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "eval/average_precision.h"
#include "eval/errors.h"
#include "eval/matching.h"
#include "eval/score_order.h"
#include "gridspot/error.h"
#include "kernels/grid_math.h"

namespace gridspot::eval {
namespace {

constexpr double largest_area = 1e10;  // COCO's "all" areas, in pixels

bool counted_area(const PixelBox& box) { return box.area() >= 0 && box.area() <= largest_area; }

bool finite(const Box& box) {
  return std::isfinite(box.cx) && std::isfinite(box.cy) && std::isfinite(box.w) && std::isfinite(box.h);
}

/// "detection 7: <rule>".
[[noreturn]] void fail(const char* what, std::size_t index, const std::string& rule) {
  throw InvalidInput(std::string(what) + " " + std::to_string(index) + ": " + rule);
}

void check_place(const EvaluationSet& set, const char* what, std::size_t index, int image, int class_id,
                 const Box& box) {
  const auto check_index = [&](const char* name, int value, std::size_t count) {
    if (value < 0 || static_cast<std::size_t>(value) >= count)
      fail(what, index,
           std::string(name) + " " + std::to_string(value) + " is not one of the " + std::to_string(count));
  };
  check_index("image", image, set.images.size());
  check_index("class", class_id, set.class_names.size());
  if (!finite(box)) fail(what, index, "the box is not finite");
}

void check(const EvaluationSet& set, const Options& options) {
  require(options.max_detections >= 1,
          "max_detections must be at least 1, found " + std::to_string(options.max_detections));
  require(!std::isnan(options.score_threshold), "the score threshold must be a number");
  require(options.cells >= 0, "cells must not be negative, found " + std::to_string(options.cells));
  for (std::size_t i = 0; i < set.images.size(); ++i)
    if (set.images[i].width < 1 || set.images[i].height < 1) fail("image", i, "width and height must be at least 1");
  for (std::size_t i = 0; i < set.objects.size(); ++i) {
    const auto& object = set.objects[i];
    check_place(set, "object", i, object.image, object.class_id, object.box);
    if (object.box.w < 0 || object.box.h < 0) fail("object", i, "width and height of the box must not be negative");
    if (!counted_area(to_pixels(object.box, set.images[static_cast<std::size_t>(object.image)])))
      fail("object", i, "the box covers more than 1e10 pixels");
  }
  for (std::size_t i = 0; i < set.detections.size(); ++i) {
    const auto& detection = set.detections[i];
    check_place(set, "detection", i, detection.image, detection.class_id, detection.box);
    if (!std::isfinite(detection.score)) fail("detection", i, "the score is not finite");
  }
}

/// The set as the measures want it: boxes in pixels; detections by falling score, of each image and class the first
/// ones.
struct Prepared {
  const EvaluationSet& set;
  std::vector<PixelBox> object_boxes, detection_boxes;
  std::vector<int> object_classes, detection_classes;
  std::vector<std::size_t> object_images, detection_images;
  std::vector<float> scores;

  Prepared(const EvaluationSet& whole_set, int max_detections) : set(whole_set) {
    for (const auto& object : set.objects) {
      object_images.push_back(static_cast<std::size_t>(object.image));
      object_classes.push_back(object.class_id);
      object_boxes.push_back(to_pixels(object.box, set.images[object_images.back()]));
    }
    std::vector<float> all_scores;
    for (const auto& detection : set.detections) all_scores.push_back(detection.score);
    std::vector<int> count(groups(), 0);
    for (const auto i : order_by_falling_score(all_scores)) {
      const auto& detection = set.detections[i];
      const auto image = static_cast<std::size_t>(detection.image);
      if (count[group(image, detection.class_id)]++ >= max_detections) continue;
      detection_images.push_back(image);
      detection_classes.push_back(detection.class_id);
      detection_boxes.push_back(to_pixels(detection.box, set.images[image]));
      scores.push_back(detection.score);
    }
  }

  [[nodiscard]] std::size_t classes() const { return set.class_names.size(); }
  [[nodiscard]] std::size_t groups() const { return classes() * set.images.size(); }
  [[nodiscard]] std::size_t group(std::size_t image, int class_id) const {
    return static_cast<std::size_t>(class_id) * set.images.size() + image;
  }
  [[nodiscard]] Groups by_class_and_image(std::span<const std::size_t> images, std::span<const int> class_ids) const {
    std::vector<std::size_t> group_of;
    for (std::size_t i = 0; i < images.size(); ++i) group_of.push_back(group(images[i], class_ids[i]));
    return {group_of, groups()};
  }
};

template <class T>
std::vector<T> gather(std::span<const T> values, std::span<const std::uint32_t> indices) {
  std::vector<T> gathered;
  for (const auto i : indices) gathered.push_back(values[i]);
  return gathered;
}

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

void measure_average_precision(const Prepared& prepared, std::vector<ClassEvaluation>& per_class) {
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

ErrorTally tally_errors(const Prepared& prepared, float score_threshold) {
  const auto above = std::partition_point(prepared.scores.begin(), prepared.scores.end(),
                                          [=](float score) { return score >= score_threshold; }) -
                     prepared.scores.begin();
  const std::span detection_images = prepared.detection_images;
  const Groups detections(detection_images.first(static_cast<std::size_t>(above)), prepared.set.images.size());
  const Groups objects(prepared.object_images, prepared.set.images.size());
  ErrorTally tally(prepared.classes());
  for (std::size_t image = 0; image < prepared.set.images.size(); ++image)
    tally.add_image(gather<PixelBox>(prepared.detection_boxes, detections[image]),
                    gather<int>(prepared.detection_classes, detections[image]),
                    gather<PixelBox>(prepared.object_boxes, objects[image]),
                    gather<int>(prepared.object_classes, objects[image]));
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
  check(set, options);
  Evaluation evaluation;
  evaluation.images = static_cast<std::int64_t>(set.images.size());
  evaluation.objects = static_cast<std::int64_t>(set.objects.size());
  evaluation.score_threshold = options.score_threshold;
  for (const auto& name : set.class_names) evaluation.per_class.emplace_back().name = name;
  for (const auto& object : set.objects) ++evaluation.per_class[static_cast<std::size_t>(object.class_id)].objects;

  const Prepared prepared(set, options.max_detections);
  measure_average_precision(prepared, evaluation.per_class);
  evaluation.map50 = mean_over_classes(evaluation.per_class, &ClassEvaluation::ap50);
  evaluation.map50_95 = mean_over_classes(evaluation.per_class, &ClassEvaluation::ap50_95);

  auto tally = tally_errors(prepared, options.score_threshold);
  for (std::size_t c = 0; c < evaluation.per_class.size(); ++c) {
    evaluation.per_class[c].errors = tally.per_class[c];
    derive_rates(evaluation.per_class[c]);
    add(evaluation.errors, tally.per_class[c]);
  }
  derive_rates(evaluation);
  evaluation.confusion = std::move(tally.confusion);
  if (options.cells > 0) evaluation.collision_ceiling = collision_ceiling(set, options.cells);
  return evaluation;
}

}  // namespace gridspot::eval

#pragma once
// An evaluation set as the measures want it: checked, in pixels, sorted.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "eval/evaluation.h"
#include "eval/matching.h"

namespace gridspot::eval {

/// Whether COCO's "all" areas, [0, 1e10] pixels, hold the box.
bool counted_area(const PixelBox& box);

/// Throws InvalidInput that names the option that is not valid.
void check(const Options& options);

template <class T>
std::vector<T> gather(std::span<const T> values, std::span<const std::uint32_t> indices) {
  std::vector<T> gathered;
  for (const auto i : indices) gathered.push_back(values[i]);
  return gathered;
}

/// Boxes in pixels; detections by falling score, of each image and class the first `max_detections`.
struct PreparedSet {
  const EvaluationSet& set;
  std::vector<PixelBox> object_boxes, detection_boxes;
  std::vector<int> object_classes, detection_classes;
  std::vector<std::size_t> object_images, detection_images;
  std::vector<float> scores;

  /// `whole_set` must outlive it; max_detections >= 1. Throws InvalidInput as evaluate.
  PreparedSet(const EvaluationSet& whole_set, int max_detections);

  [[nodiscard]] std::size_t images() const { return set.images.size(); }
  [[nodiscard]] std::size_t classes() const { return set.class_names.size(); }
  [[nodiscard]] std::size_t groups() const { return classes() * images(); }
  [[nodiscard]] std::size_t group(std::size_t image, int class_id) const {
    return static_cast<std::size_t>(class_id) * images() + image;
  }
  [[nodiscard]] Groups by_class_and_image(std::span<const std::size_t> of_images, std::span<const int> class_ids) const;
};

/// One image's detections with score >= a threshold, by falling score, and its objects in the order of the set.
struct PreparedImage {
  std::vector<PixelBox> detections, objects;
  std::vector<int> detection_classes, object_classes;
  std::vector<float> scores;
};

/// Every image of the set.
std::vector<PreparedImage> images_above(const PreparedSet& prepared, float score_threshold);

}  // namespace gridspot::eval

#include "eval/prepared_set.h"

#include <algorithm>
#include <cmath>

#include "eval/score_order.h"
#include "gridspot/error.h"

namespace gridspot::eval {
namespace {

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

void check(const EvaluationSet& set) {
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

}  // namespace

bool counted_area(const PixelBox& box) {
  constexpr double largest_area = 1e10;
  return box.area() >= 0 && box.area() <= largest_area;
}

void check(const Options& options) {
  require(options.max_detections >= 1,
          "max_detections must be at least 1, found " + std::to_string(options.max_detections));
  require(!options.score_threshold || !std::isnan(*options.score_threshold), "the score threshold must be a number");
  require(options.cells >= 0, "cells must not be negative, found " + std::to_string(options.cells));
}

PreparedSet::PreparedSet(const EvaluationSet& whole_set, int max_detections) : set(whole_set) {
  check(set);
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

Groups PreparedSet::by_class_and_image(std::span<const std::size_t> of_images, std::span<const int> class_ids) const {
  std::vector<std::size_t> group_of;
  for (std::size_t i = 0; i < of_images.size(); ++i) group_of.push_back(group(of_images[i], class_ids[i]));
  return {group_of, groups()};
}

std::vector<PreparedImage> images_above(const PreparedSet& prepared, float score_threshold) {
  const auto above = std::partition_point(prepared.scores.begin(), prepared.scores.end(),
                                          [=](float score) { return score >= score_threshold; }) -
                     prepared.scores.begin();
  const std::span detection_images = prepared.detection_images;
  const Groups detections(detection_images.first(static_cast<std::size_t>(above)), prepared.images());
  const Groups objects(prepared.object_images, prepared.images());
  std::vector<PreparedImage> images;
  for (std::size_t image = 0; image < prepared.images(); ++image)
    images.push_back({.detections = gather<PixelBox>(prepared.detection_boxes, detections[image]),
                      .objects = gather<PixelBox>(prepared.object_boxes, objects[image]),
                      .detection_classes = gather<int>(prepared.detection_classes, detections[image]),
                      .object_classes = gather<int>(prepared.object_classes, objects[image]),
                      .scores = gather<float>(prepared.scores, detections[image])});
  return images;
}

}  // namespace gridspot::eval

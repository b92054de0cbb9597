#pragma once
// The overlap of boxes, and which detection takes which object.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data/pixel_box.h"
#include "eval/evaluation.h"

namespace gridspot::eval {

inline PixelBox to_pixels(const Box& box, const ImageSize& image) {
  return gridspot::to_pixels(box, image.height, image.width);
}

/// Intersection over union; 0 where the boxes share no area.
double intersection_over_union(const PixelBox& a, const PixelBox& b);

/// The overlaps of some detections (rows, by falling score) with some objects of the same image (columns).
class OverlapTable {
 public:
  OverlapTable(std::span<const PixelBox> detections, std::span<const PixelBox> objects);
  [[nodiscard]] std::size_t detections() const { return detections_; }
  [[nodiscard]] std::size_t objects() const { return objects_; }
  [[nodiscard]] double at(std::size_t detection, std::size_t object) const {
    return overlaps_[detection * objects_ + object];
  }
  /// Overlaps of a detection and an object of different classes set to 0.
  [[nodiscard]] OverlapTable within_classes(std::span<const int> detection_classes,
                                            std::span<const int> object_classes) const;

 private:
  std::size_t detections_, objects_;
  std::vector<double> overlaps_;
};

inline constexpr std::int32_t unmatched = -1;

/// Greedy matching as COCO does it: detection after detection takes the free object with the highest overlap of at
/// least `threshold`, of equal overlaps the later object. Returns each detection's object or `unmatched`.
std::vector<std::int32_t> match(const OverlapTable& overlaps, double threshold);

/// Items 0, 1, ... sorted into groups; within a group they keep their order.
class Groups {
 public:
  /// `group_of[i]` is item i's group, below `groups`.
  Groups(std::span<const std::size_t> group_of, std::size_t groups);
  [[nodiscard]] std::span<const std::uint32_t> operator[](std::size_t group) const {
    return {items_.data() + offsets_[group], items_.data() + offsets_[group + 1]};
  }

 private:
  std::vector<std::uint32_t> offsets_, items_;
};

}  // namespace gridspot::eval

#include "eval/matching.h"

#include <algorithm>

namespace gridspot::eval {

double intersection_over_union(const PixelBox& a, const PixelBox& b) {
  const double width = std::min(a.right(), b.right()) - std::max(a.x, b.x);
  const double height = std::min(a.bottom(), b.bottom()) - std::max(a.y, b.y);
  if (!(width > 0 && height > 0)) return 0;
  const double intersection = width * height;
  return intersection / (a.area() + b.area() - intersection);
}

OverlapTable::OverlapTable(std::span<const PixelBox> detections, std::span<const PixelBox> objects)
    : detections_(detections.size()), objects_(objects.size()) {
  overlaps_.reserve(detections_ * objects_);
  for (const auto& detection : detections)
    for (const auto& object : objects) overlaps_.push_back(intersection_over_union(detection, object));
}

OverlapTable OverlapTable::within_classes(std::span<const int> detection_classes,
                                          std::span<const int> object_classes) const {
  OverlapTable masked = *this;
  for (std::size_t d = 0; d < detections_; ++d)
    for (std::size_t o = 0; o < objects_; ++o)
      if (detection_classes[d] != object_classes[o]) masked.overlaps_[d * objects_ + o] = 0;
  return masked;
}

std::vector<std::int32_t> match(const OverlapTable& overlaps, double threshold) {
  std::vector<std::int32_t> object_of(overlaps.detections(), unmatched);
  std::vector<bool> taken(overlaps.objects(), false);
  for (std::size_t d = 0; d < overlaps.detections(); ++d) {
    double best = threshold;
    for (std::size_t o = 0; o < overlaps.objects(); ++o)
      if (!taken[o] && overlaps.at(d, o) >= best) {
        best = overlaps.at(d, o);
        object_of[d] = static_cast<std::int32_t>(o);
      }
    if (object_of[d] != unmatched) taken[static_cast<std::size_t>(object_of[d])] = true;
  }
  return object_of;
}

Groups::Groups(std::span<const std::size_t> group_of, std::size_t groups)
    : offsets_(groups + 1, 0), items_(group_of.size()) {
  for (const auto group : group_of) ++offsets_[group + 1];
  for (std::size_t group = 0; group < groups; ++group) offsets_[group + 1] += offsets_[group];
  auto next = offsets_;
  for (std::uint32_t item = 0; item < group_of.size(); ++item) items_[next[group_of[item]]++] = item;
}

}  // namespace gridspot::eval

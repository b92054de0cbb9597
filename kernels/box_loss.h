#pragma once
// The box losses of kernels/loss.h with their gradients, for kernels.
#include "kernels/grid_math.h"

namespace gridspot {

/// A loss and its derivative by each coordinate of the predicted box.
struct BoxLossValue {
  float loss;
  Box gradient;
};

/// The mean of the squared errors of x and y, in cells, and of w and h.
__host__ __device__ inline BoxLossValue squared_box_error(const Box& box, const Box& object, int cells) {
  const float side = static_cast<float>(cells);
  const float x = (box.cx - object.cx) * side, y = (box.cy - object.cy) * side;
  const float w = box.w - object.w, h = box.h - object.h;
  return {0.25f * (x * x + y * y + w * w + h * h), {0.5f * side * x, 0.5f * side * y, 0.5f * w, 0.5f * h}};
}

inline constexpr float smallest_diou_size = 1e-6f, largest_diou_size = 1e3f;

/// Comparisons instead of fminf and fmaxf: they let a NaN through.
__host__ __device__ __forceinline__ float clamp_diou_size(float size) {
  return size < smallest_diou_size ? smallest_diou_size : size > largest_diou_size ? largest_diou_size : size;
}

/// One axis of a box and an object: a length and its derivatives by the box's centre and size.
struct AxisLength {
  float length, by_center, by_size;
};
struct AxisLengths {
  AxisLength overlap, enclosure;
};

/// The derivative of max(a, b) by a.
__host__ __device__ __forceinline__ float share_of_maximum(float a, float b) {
  return a > b ? 1.0f : a < b ? 0.0f : 0.5f;
}

/// `offset` is the box's centre as seen from the object's, which keeps the digits of small boxes.
__host__ __device__ inline AxisLengths axis_lengths(float offset, float size, float object_size) {
  const float low = offset - size * 0.5f, high = offset + size * 0.5f;
  const float object_high = object_size * 0.5f, object_low = -object_high;
  const float outer_high = share_of_maximum(high, object_high), inner_high = 1.0f - outer_high;
  const float inner_low = share_of_maximum(low, object_low), outer_low = 1.0f - inner_low;
  AxisLengths lengths{
      {fminf(high, object_high) - fmaxf(low, object_low), inner_high - inner_low, 0.5f * (inner_high + inner_low)},
      {fmaxf(high, object_high) - fminf(low, object_low), outer_high - outer_low, 0.5f * (outer_high + outer_low)}};
  if (lengths.overlap.length <= 0) lengths.overlap = {0, 0, 0};
  return lengths;
}

/// 1 - IoU + d^2/c^2: d is the distance of the centres, c the diagonal of the smallest box that holds both.
__host__ __device__ inline BoxLossValue distance_iou_loss(const Box& box, const Box& object) {
  const float w = clamp_diou_size(box.w), h = clamp_diou_size(box.h);
  const float object_w = clamp_diou_size(object.w), object_h = clamp_diou_size(object.h);
  const float x = box.cx - object.cx, y = box.cy - object.cy;
  const AxisLengths across = axis_lengths(x, w, object_w), down = axis_lengths(y, h, object_h);

  const float intersection = across.overlap.length * down.overlap.length;
  const float either = w * h + object_w * object_h - intersection;
  const float overlap = intersection / either;
  // The derivative of intersection / either, from those of the intersection and of the box's area.
  const auto iou_slope = [&](float by_intersection, float by_area) {
    return (by_intersection * (1.0f + overlap) - overlap * by_area) / either;
  };

  const float diagonal = across.enclosure.length * across.enclosure.length +
                         down.enclosure.length * down.enclosure.length;  // squared, as is the distance
  const float distance = (x * x + y * y) / diagonal;
  const auto distance_slope = [&](float by_square, const AxisLength& enclosure, float by_length) {
    return (by_square - distance * 2.0f * enclosure.length * by_length) / diagonal;
  };

  return {1.0f - overlap + distance,
          {distance_slope(2.0f * x, across.enclosure, across.enclosure.by_center) -
               iou_slope(across.overlap.by_center * down.overlap.length, 0),
           distance_slope(2.0f * y, down.enclosure, down.enclosure.by_center) -
               iou_slope(across.overlap.length * down.overlap.by_center, 0),
           distance_slope(0, across.enclosure, across.enclosure.by_size) -
               iou_slope(across.overlap.by_size * down.overlap.length, h),
           distance_slope(0, down.enclosure, down.enclosure.by_size) -
               iou_slope(across.overlap.length * down.overlap.by_size, w)}};
}

}  // namespace gridspot

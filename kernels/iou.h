#pragma once
// Intersection over union of two boxes, for kernels.
#include "device/kernel.h"
#include "gridspot/box.h"

namespace gridspot {

/// In [0, 1]; 0 when a box has no area or a coordinate is NaN. Areas are taken between the rounded edges, so that a box
/// and its exact duplicate give 1 however small they are.
__host__ __device__ __forceinline__ float iou(const Box& a, const Box& b) {
  const float a_left = a.cx - a.w * 0.5f, a_right = a.cx + a.w * 0.5f;
  const float a_top = a.cy - a.h * 0.5f, a_bottom = a.cy + a.h * 0.5f;
  const float b_left = b.cx - b.w * 0.5f, b_right = b.cx + b.w * 0.5f;
  const float b_top = b.cy - b.h * 0.5f, b_bottom = b.cy + b.h * 0.5f;
  const float width = (a_right < b_right ? a_right : b_right) - (a_left > b_left ? a_left : b_left);
  const float height = (a_bottom < b_bottom ? a_bottom : b_bottom) - (a_top > b_top ? a_top : b_top);
  if (!(width > 0 && height > 0)) return 0;
  const float intersection = width * height;
  const float either = (a_right - a_left) * (a_bottom - a_top) + (b_right - b_left) * (b_bottom - b_top) - intersection;
  return either > 0 ? fminf(intersection / either, 1.0f) : 0.0f;
}

}  // namespace gridspot

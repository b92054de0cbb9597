#pragma once
// Clutter: strokes and symbols that are no digit, drawn as signed distance fields. Used by canvas.cu.
#include "kernels/philox.h"

namespace gridspot {

/// A stroke keeps to 35 degrees of the horizontal, and the ring has a dot in its middle: upright or plain they would be
/// a one and a zero.
enum class ClutterKind : std::uint32_t { stroke, plus, cross, triangle, square, ring };
inline constexpr std::uint32_t clutter_kinds = 6;

struct ClutterShape {
  ClutterKind kind;
  float cx, cy;          ///< canvas pixels
  float cosine, sine;    ///< of its rotation
  float radius;          ///< from the centre to the end of a stroke or arm, to a corner, or to the ring; pixels
  float half_thickness;  ///< of every line, pixels
  float intensity;
  float reach;  ///< nothing of the shape lies further from the centre, in x and in y
};

/// Shape i of a canvas takes the words of index 2i and 2i + 1 of purpose `clutter`. Of 2i: x picks the kind, y and z
/// are the centre, uniform on the canvas, and w the size s, uniform in [min_size, max_size]. Of 2i + 1: x is the
/// rotation, uniform in +-35 degrees, y half the thickness, uniform in [0.03 s, 0.07 s] and at least half a pixel, z
/// the intensity, uniform in [0.5, 1]. The radius is s / 3.
__device__ inline ClutterShape draw_clutter(const CanvasRandom& random, std::uint32_t i, float height, float width,
                                            float min_size, float max_size) {
  const Philox4 a = random.draw(Purpose::clutter, 2 * i), b = random.draw(Purpose::clutter, 2 * i + 1);
  constexpr float most = 0.6108652f;
  constexpr float eighth_turn = 0.7853982f;
  ClutterShape shape;
  shape.kind = static_cast<ClutterKind>(pick(a.x, clutter_kinds));
  shape.cx = uniform(a.y, 0, width);
  shape.cy = uniform(a.z, 0, height);
  const float size = uniform(a.w, min_size, max_size);
  const float angle = uniform(b.x, -most, most) + (shape.kind == ClutterKind::cross ? eighth_turn : 0.0f);
  shape.cosine = cosf(angle);
  shape.sine = sinf(angle);
  shape.radius = size / 3;
  shape.half_thickness = fmaxf(uniform(b.y, 0.03f * size, 0.07f * size), 0.5f);
  shape.intensity = uniform(b.z, 0.5f, 1);
  shape.reach = shape.radius + shape.half_thickness + 1;
  return shape;
}

__device__ inline float length(float x, float y) { return sqrtf(x * x + y * y); }

/// From (x, y) to the segment from a to b.
__device__ inline float distance_to_segment(float x, float y, float ax, float ay, float bx, float by) {
  const float dx = bx - ax, dy = by - ay;
  const float share = fminf(fmaxf(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0.0f), 1.0f);
  return length(x - ax - share * dx, y - ay - share * dy);
}

/// From (x, y), in the shape's own axes, to its nearest line's middle.
__device__ inline float distance_to_lines(const ClutterShape& shape, float x, float y) {
  const float radius = shape.radius;
  switch (shape.kind) {
    case ClutterKind::stroke:
      return distance_to_segment(x, y, -radius, 0, radius, 0);
    case ClutterKind::plus:
    case ClutterKind::cross: {  // a cross is a plus whose rotation has an eighth of a turn more
      const float along = fmaxf(fabsf(x), fabsf(y)), across = fminf(fabsf(x), fabsf(y));
      return length(fmaxf(along - radius, 0.0f), across);
    }
    case ClutterKind::triangle: {
      const float foot_x = 0.8660254f * radius, foot_y = 0.5f * radius;
      const float side = distance_to_segment(fabsf(x), y, 0, -radius, foot_x, foot_y);
      return fminf(side, distance_to_segment(x, y, -foot_x, foot_y, foot_x, foot_y));
    }
    case ClutterKind::square: {
      const float half = 0.7071068f * radius, beyond_x = fabsf(x) - half, beyond_y = fabsf(y) - half;
      const float outside = length(fmaxf(beyond_x, 0.0f), fmaxf(beyond_y, 0.0f));
      return outside - fminf(fmaxf(beyond_x, beyond_y), 0.0f);
    }
    case ClutterKind::ring:
      break;
  }
  const float from_centre = length(x, y);
  return fminf(fabsf(from_centre - radius), from_centre - shape.half_thickness);
}

/// What the shape adds to the pixel whose centre is at (x, y): its intensity times the share of the pixel that a
/// straight edge at the signed distance leaves covered.
__device__ inline float clutter_value(const ClutterShape& shape, float x, float y) {
  const float dx = x - shape.cx, dy = y - shape.cy;
  if (fabsf(dx) > shape.reach || fabsf(dy) > shape.reach) return 0;
  const float own_x = shape.cosine * dx + shape.sine * dy, own_y = shape.cosine * dy - shape.sine * dx;
  const float distance = distance_to_lines(shape, own_x, own_y) - shape.half_thickness;
  return shape.intensity * fminf(fmaxf(0.5f - distance, 0.0f), 1.0f);
}

}  // namespace gridspot

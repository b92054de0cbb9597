#pragma once
// Scene sampling from the contract in kernels/scene.h, in double precision; boxes by brute force over the corners of
// all ink pixels.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "gridspot/protocol.h"
#include "kernels/scene.h"
#include "tests/reference/philox.h"
#include "tests/support/glyphs.h"

namespace gridspot::reference {

/// Edges in canvas pixels.
struct Rectangle {
  double left = 1e9, top = 1e9, right = -1e9, bottom = -1e9;

  void include(double x, double y) {
    left = std::min(left, x), right = std::max(right, x);
    top = std::min(top, y), bottom = std::max(bottom, y);
  }
  [[nodiscard]] double area() const { return std::max(right - left, 0.0) * std::max(bottom - top, 0.0); }
  [[nodiscard]] Rectangle moved(double x, double y) const { return {left + x, top + y, right + x, bottom + y}; }
};

inline Rectangle intersection(const Rectangle& a, const Rectangle& b) {
  return {std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right), std::min(a.bottom, b.bottom)};
}

inline Rectangle canvas_of(const Protocol& protocol) { return {0, 0, double(protocol.width), double(protocol.height)}; }

inline double iou(const Rectangle& a, const Rectangle& b) {
  const double common = intersection(a, b).area();
  return common > 0 ? common / (a.area() + b.area() - common) : 0;
}

struct PlacedGlyph {
  int glyph;
  double size, angle, shear;  // angle in radians
  double cx = 0, cy = 0;
  Rectangle tile{}, label{};  // relative to the centre until the glyph is placed

  /// Glyph offset (pixels of a bank whose larger side is `side`) to canvas offset.
  void transform(double side, double u, double v, double& x, double& y) const {
    const double sheared = u + shear * v;
    x = (std::cos(angle) * sheared - std::sin(angle) * v) * size / side;
    y = (std::sin(angle) * sheared + std::cos(angle) * v) * size / side;
  }
};

struct SampledScene {
  std::vector<PlacedGlyph> glyphs;
  int drawn = 0;
  /// How close the closest decision (overlap against a limit) was: below rounding, float may decide otherwise.
  double margin = 1;
};

inline void set_boxes(PlacedGlyph& placed, const test::Glyphs& glyphs, BoxKind kind) {
  const double side = std::max(glyphs.height, glyphs.width);
  const auto include = [&](Rectangle& rectangle, double u, double v) {
    double x = 0, y = 0;
    placed.transform(side, u, v, x, y);
    rectangle.include(x, y);
  };
  for (const double u : {-side / 2, side / 2})
    for (const double v : {-side / 2, side / 2}) include(placed.tile, u, v);
  if (kind == BoxKind::tight)
    for (int row = 0; row < glyphs.height; ++row)
      for (int column = 0; column < glyphs.width; ++column)
        if (glyphs.pixel(placed.glyph, row, column) >= ink_threshold)
          for (const int right : {0, 1})
            for (const int lower : {0, 1})
              include(placed.label, column + right - glyphs.width / 2.0, row + lower - glyphs.height / 2.0);
  if (placed.label.left > placed.label.right) placed.label = placed.tile;
}

inline bool accepts(const Protocol& protocol, const PlacedGlyph& candidate, SampledScene& scene) {
  if (protocol.placing == Placing::anywhere || scene.glyphs.empty()) return true;
  double highest = 0;
  for (const PlacedGlyph& other : scene.glyphs) highest = std::max(highest, iou(candidate.label, other.label));
  const auto beyond = [&](double limit) {
    scene.margin = std::min(scene.margin, std::abs(highest - limit));
    return highest >= limit;
  };
  switch (protocol.placing) {
    case Placing::separated: {
      // Near nothing: neither a sliver of overlap nor a hair of distance may decide differently in float.
      double gap = -1;
      for (const PlacedGlyph& other : scene.glyphs) {
        const Rectangle common = intersection(candidate.label, other.label);
        gap = std::max(gap, std::min(common.right - common.left, common.bottom - common.top));
      }
      scene.margin = std::min(scene.margin, std::abs(gap));
      return gap <= 0;
    }
    case Placing::limited:
      return !beyond(protocol.max_iou);
    default:
      return beyond(protocol.min_iou) & !beyond(protocol.max_iou);
  }
}

/// Where the centre of a tile may be.
inline Rectangle centres(const Protocol& protocol, const Rectangle& tile) {
  if (protocol.placing == Placing::centred)
    return {protocol.width / 2.0 - protocol.max_shift, protocol.height / 2.0 - protocol.max_shift,
            protocol.width / 2.0 + protocol.max_shift, protocol.height / 2.0 + protocol.max_shift};
  return {-tile.left, -tile.top, protocol.width - tile.right, protocol.height - tile.bottom};
}

inline bool find_place(const Protocol& protocol, const CanvasDraws& draws, std::uint32_t first_index,
                       PlacedGlyph& placed, SampledScene& scene) {
  const Rectangle inside = centres(protocol, placed.tile);
  if (protocol.placing != Placing::centred)
    scene.margin = std::min({scene.margin, std::abs(inside.right - inside.left), std::abs(inside.bottom - inside.top)});
  if (inside.right < inside.left || inside.bottom < inside.top) return false;
  const Rectangle label = placed.label, tile = placed.tile;
  for (int attempt = 0; attempt < placing_attempts; ++attempt) {
    const Draw draw = draws.draw(0, first_index + attempt);
    Rectangle range = inside;
    if (protocol.placing == Placing::overlapping && !scene.glyphs.empty()) {
      const Rectangle& other = scene.glyphs[draw.pick(2, int(scene.glyphs.size()))].label;
      range = intersection(inside, {other.left - label.right, other.top - label.bottom, other.right - label.left,
                                    other.bottom - label.top});
      if (range.right < range.left || range.bottom < range.top) continue;
    }
    placed.cx = draw.uniform(0, range.left, range.right);
    placed.cy = draw.uniform(1, range.top, range.bottom);
    placed.tile = tile.moved(placed.cx, placed.cy);
    placed.label = intersection(label.moved(placed.cx, placed.cy), canvas_of(protocol));
    if (accepts(protocol, placed, scene)) return true;
  }
  return false;
}

inline SampledScene sample_scene(const Protocol& protocol, const test::Glyphs& glyphs, const CanvasDraws& draws) {
  SampledScene scene;
  scene.drawn = protocol.min_glyphs + draws.draw(0, 0).pick(0, protocol.max_glyphs - protocol.min_glyphs + 1);
  for (int g = 0; g < scene.drawn; ++g) {
    const std::uint32_t index = 1 + g * (placing_attempts + 1);
    const Draw draw = draws.draw(0, index);
    const double rotation = protocol.max_rotation * std::numbers::pi / 180;
    PlacedGlyph placed{.glyph = protocol.in_order ? int(draws.canvas % glyphs.count) : draw.pick(0, glyphs.count),
                       .size = draw.uniform(1, protocol.min_size, protocol.max_size),
                       .angle = draw.uniform(2, -rotation, rotation),
                       .shear = draw.uniform(3, -protocol.max_shear, protocol.max_shear)};
    set_boxes(placed, glyphs, protocol.box);
    if (find_place(protocol, draws, index + 1, placed, scene)) scene.glyphs.push_back(placed);
  }
  if (protocol.placing == Placing::overlapping && scene.glyphs.size() == 1) scene.glyphs.clear();
  return scene;
}

/// The placement's number of samples: the larger of the lengths of a canvas pixel's two sides in glyph pixels, rounded
/// up, a thousandth forgiven.
inline int samples(const Placement& placement) {
  const auto* m = placement.to_glyph;
  const double covered = std::max(std::hypot(double(m[0]), double(m[2])), std::hypot(double(m[1]), double(m[3])));
  return std::max(1, int(std::ceil(covered - 1e-3)));
}

}  // namespace gridspot::reference

#pragma once
// Composition from the contracts in kernels/canvas.h and kernels/clutter.h, in double precision: every glyph and every
// shape for every pixel.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "gridspot/protocol.h"
#include "kernels/placement.h"
#include "tests/reference/philox.h"
#include "tests/support/glyphs.h"

namespace gridspot::reference {

/// The bilinear interpolation of `value(row, column)`, whose centres lie at integers.
template <class Value>
double interpolate(Value value, double x, double y) {
  const int column = int(std::floor(x)), row = int(std::floor(y));
  const double s = x - column, t = y - row;
  return (1 - t) * ((1 - s) * value(row, column) + s * value(row, column + 1)) +
         t * ((1 - s) * value(row + 1, column) + s * value(row + 1, column + 1));
}

inline double glyph_share(const test::Glyphs& glyphs, const Placement& placement, int row, int column) {
  const auto pixel = [&](int r, int c) {
    return r < 0 || c < 0 || r >= glyphs.height || c >= glyphs.width ? 0.0
                                                                     : glyphs.pixel(placement.glyph, r, c) / 255.0;
  };
  const int n = placement.samples;
  const auto* m = placement.to_glyph;
  double sum = 0;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      const double dx = column + (j + 0.5) / n - placement.cx, dy = row + (i + 0.5) / n - placement.cy;
      const double u = m[0] * dx + m[1] * dy, v = m[2] * dx + m[3] * dy;
      sum += interpolate(pixel, u + glyphs.width / 2.0 - 0.5, v + glyphs.height / 2.0 - 0.5);
    }
  return sum / (n * n);
}

using Point = std::array<double, 2>;

inline double distance_to_segment(Point p, Point a, Point b) {
  const double dx = b[0] - a[0], dy = b[1] - a[1];
  const double share = std::clamp(((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy), 0.0, 1.0);
  return std::hypot(p[0] - a[0] - share * dx, p[1] - a[1] - share * dy);
}

/// A shape as segments between points of a circle, or a ring with its dot.
struct Clutter {
  int kind;  // stroke, plus, cross, triangle, square, ring
  double cx, cy, angle, radius, half_thickness, intensity;

  Clutter(const Protocol& protocol, const CanvasDraws& draws, int i) {
    const Draw a = draws.draw(1, 2 * i), b = draws.draw(1, 2 * i + 1);
    kind = a.pick(0, 6);
    cx = a.uniform(1, 0, protocol.width);
    cy = a.uniform(2, 0, protocol.height);
    const double size = a.uniform(3, protocol.min_size, protocol.max_size);
    angle = b.uniform(0, -35, 35) * std::numbers::pi / 180;
    half_thickness = std::max(0.5, b.uniform(1, 0.03 * size, 0.07 * size));
    intensity = b.uniform(2, 0.5, 1);
    radius = size / 3;
  }

  [[nodiscard]] Point at(double degrees) const {
    const double turned = degrees * std::numbers::pi / 180 + angle;
    return {cx + radius * std::cos(turned), cy + radius * std::sin(turned)};
  }

  [[nodiscard]] double distance(Point p) const {
    if (kind == 5) {
      const double from_centre = std::hypot(p[0] - cx, p[1] - cy);
      return std::min(std::abs(from_centre - radius) - half_thickness, from_centre - 2 * half_thickness);
    }
    static const std::vector<std::vector<std::array<double, 2>>> segments{
        {{0, 180}},
        {{0, 180}, {90, 270}},
        {{45, 225}, {135, 315}},
        {{-90, 30}, {30, 150}, {150, -90}},
        {{45, 135}, {135, 225}, {225, 315}, {315, 45}},
    };
    double least = 1e9;
    for (const auto& [from, to] : segments[kind]) least = std::min(least, distance_to_segment(p, at(from), at(to)));
    return least - half_thickness;
  }

  [[nodiscard]] double share(int row, int column) const {
    return intensity * std::clamp(0.5 - distance({column + 0.5, row + 0.5}), 0.0, 1.0);
  }
};

inline double normal(const Protocol& protocol, const CanvasDraws& draws, int row, int column) {
  const Draw draw = draws.draw(2, row * ((protocol.width + 3) / 4) + column / 4);
  const int pair = column % 4 / 2;
  const double radius = std::sqrt(-2 * std::log(1 - draw.uniform(2 * pair)));
  const double angle = 2 * std::numbers::pi * draw.uniform(2 * pair + 1);
  return radius * (column % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

/// Values in [0, 1], [height, width], not normalised.
inline std::vector<double> compose_canvas(const Protocol& protocol, const test::Glyphs& glyphs, CanvasDraws draws,
                                          std::span<const Placement> placements) {
  const Draw whole = draws.draw(3, 0);
  const double contrast = whole.uniform(0, protocol.min_contrast, 1);
  const bool inverted = whole.uniform(1) < protocol.inversion;
  std::vector<Clutter> shapes;
  for (int i = 0; i < whole.pick(2, protocol.max_clutter + 1); ++i) shapes.emplace_back(protocol, draws, i);
  std::vector<double> canvas;
  for (int row = 0; row < protocol.height; ++row)
    for (int column = 0; column < protocol.width; ++column) {
      double value = 0;
      for (const Placement& placement : placements) value += glyph_share(glyphs, placement, row, column);
      for (const Clutter& shape : shapes) value += shape.share(row, column);
      value = contrast * std::min(value, 1.0);
      if (inverted) value = 1 - value;
      if (protocol.noise > 0) value += protocol.noise * normal(protocol, draws, row, column);
      canvas.push_back(std::clamp(value, 0.0, 1.0));
    }
  return canvas;
}

}  // namespace gridspot::reference

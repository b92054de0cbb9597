#pragma once
// The coding of kernels/grid.h and IoU from their definitions, in double precision.
#include <algorithm>
#include <cmath>

#include "gridspot/box.h"
#include "kernels/grid.h"

namespace gridspot::reference {

struct BoxD {
  double cx = 0, cy = 0, w = 0, h = 0;
};

inline BoxD widen(const Box& box) { return {box.cx, box.cy, box.w, box.h}; }

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// The length that [a - aw/2, a + aw/2] and [b - bw/2, b + bw/2] share.
inline double shared_length(double a, double aw, double b, double bw) {
  return std::max(0.0, std::min(a + aw / 2, b + bw / 2) - std::max(a - aw / 2, b - bw / 2));
}

inline double iou(const BoxD& a, const BoxD& b) {
  const double intersection = shared_length(a.cx, a.w, b.cx, b.w) * shared_length(a.cy, a.h, b.cy, b.h);
  return intersection > 0 ? intersection / (a.w * a.h + b.w * b.h - intersection) : 0;
}

/// `outputs` are a predictor's x, y, w, h.
inline BoxD decode_box(const GridHead& head, const double* outputs, int row, int column) {
  const auto size = [&](double output, double prior) {
    return head.size_coding == SizeCoding::linear ? output : prior * std::exp(std::clamp(output, -4.0, 4.0));
  };
  return {(column + sigmoid(outputs[0])) / head.cells, (row + sigmoid(outputs[1])) / head.cells,
          size(outputs[2], head.prior_width), size(outputs[3], head.prior_height)};
}

}  // namespace gridspot::reference

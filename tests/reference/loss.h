#pragma once
// The detection loss of one cell from its definition in kernels/loss.h, in double precision.
#include <array>
#include <cmath>
#include <set>
#include <vector>

#include "kernels/loss.h"
#include "tests/reference/grid.h"

namespace gridspot::reference {

/// What a cell predicts and should predict.
struct Cell {
  int row = 0, column = 0;
  bool has_object = false;
  BoxD box;
  int label = 0;
  std::set<int> classes{};  ///< of all objects that are centred in it, not only the one it is responsible for
};

inline double bce(double logit, double target) {
  // -target log(p) - (1 - target) log(1 - p) with p = sigmoid(logit), each logarithm as -log(1 + exp(...)).
  return target * std::log1p(std::exp(-logit)) + (1 - target) * std::log1p(std::exp(logit));
}

inline int responsible_predictor(const GridHead& head, const std::vector<double>& outputs, const Cell& cell) {
  if (!cell.has_object || head.predictors == 0) return -1;
  std::vector<double> overlaps;
  for (int p = 0; p < head.predictors; ++p)
    overlaps.push_back(iou(decode_box(head, &outputs[p * 5 + 1], cell.row, cell.column), cell.box));
  return static_cast<int>(std::max_element(overlaps.begin(), overlaps.end()) - overlaps.begin());
}

inline double squared_box_error(const BoxD& box, const BoxD& object, int cells) {
  const double x = cells * box.cx - cells * object.cx, y = cells * box.cy - cells * object.cy;
  return (x * x + y * y + std::pow(box.w - object.w, 2) + std::pow(box.h - object.h, 2)) / 4;
}

inline double distance_iou_loss(BoxD a, BoxD b) {
  for (double* size : {&a.w, &a.h, &b.w, &b.h}) *size = std::clamp(*size, 1e-6, 1e3);
  const double width = std::max(a.cx + a.w / 2, b.cx + b.w / 2) - std::min(a.cx - a.w / 2, b.cx - b.w / 2);
  const double height = std::max(a.cy + a.h / 2, b.cy + b.h / 2) - std::min(a.cy - a.h / 2, b.cy - b.h / 2);
  const double distance = std::pow(a.cx - b.cx, 2) + std::pow(a.cy - b.cy, 2);
  return 1 - iou(a, b) + distance / (width * width + height * height);
}

inline double class_loss(ClassLoss kind, const std::vector<double>& outputs, const Cell& cell) {
  const auto classes = static_cast<int>(outputs.size());
  double sum = 0;
  if (kind == ClassLoss::cross_entropy) {
    for (const double output : outputs) sum += std::exp(output);
    return std::log(sum) - outputs[cell.label];
  }
  for (int i = 0; i < classes; ++i) {
    const bool is_there = kind == ClassLoss::multi_label ? cell.classes.contains(i) : i == cell.label;
    const double target = is_there ? 1 : 0;
    sum += kind == ClassLoss::mse ? std::pow(outputs[i] - target, 2) : bce(outputs[i], target);
  }
  return sum / classes;
}

/// The cell's weighted objectness, box and class loss; `outputs` are its channels.
inline std::array<double, 3> cell_loss(const GridHead& head, const LossSettings& settings, const Cell& cell,
                                       const std::vector<double>& outputs, int responsible) {
  std::array<double, 3> loss{};
  for (int p = 0; p < head.predictors; ++p)
    loss[0] += (p == responsible ? settings.objectness_weight : settings.no_object_weight) *
               bce(outputs[p * 5], p == responsible) / (head.cells * head.cells * head.predictors);
  if (cell.has_object && head.predictors > 0) {
    const BoxD box = decode_box(head, &outputs[responsible * 5 + 1], cell.row, cell.column);
    loss[1] = settings.box_weight * (settings.box_loss == BoxLoss::mse ? squared_box_error(box, cell.box, head.cells)
                                                                       : distance_iou_loss(box, cell.box));
  }
  if (cell.has_object || head.class_loss == ClassLoss::multi_label)
    loss[2] = settings.class_weight *
              class_loss(head.class_loss, {outputs.begin() + head.predictors * 5, outputs.end()}, cell);
  return loss;
}

}  // namespace gridspot::reference

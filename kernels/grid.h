#pragma once
// The detection head's layout and coding, shared by targets, loss and decoding.
//
// A prediction is [n, S, S, channels]: for each of the cell's B predictors (objectness logit, x, y, w, h), then C class
// outputs that the cell's predictors share. Decoding of a predictor in cell (row, column):
//   cx = (column + sigmoid(x)) / S,  cy = (row + sigmoid(y)) / S,
//   linear:       w, h as they are (Redmon et al. 2016, as the original study coded them),
//   exponential:  w = prior_width * exp(w), h = prior_height * exp(h), exponents clamped to [-4, 4] (Redmon & Farhadi
//   2017).
namespace gridspot {

enum class SizeCoding { linear, exponential };
/// What the class outputs mean. Scores come from sigmoids with `bce` and `multi_label`, else from softmax.
enum class ClassLoss {
  cross_entropy,
  mse,
  bce,
  multi_label,  ///< which classes are centred in the cell, in every cell, empty ones too; the others: of the cell's
                ///< object
};
enum class BoxLoss { mse, diou };

struct GridHead {
  int cells = 0;       ///< S
  int predictors = 1;  ///< B; 0: a classifier, whose cells have no box and no objectness
  int classes = 0;     ///< C
  SizeCoding size_coding = SizeCoding::exponential;
  float prior_width = 0.15f, prior_height = 0.15f;
  ClassLoss class_loss = ClassLoss::cross_entropy;

  [[nodiscard]] constexpr int channels() const { return predictors * 5 + classes; }
  [[nodiscard]] constexpr int slots() const { return cells * cells * predictors; }
  [[nodiscard]] constexpr bool classifies_only() const { return predictors == 0; }
};

/// Weights of the terms of grid_loss; a weight of 0 leaves its term out.
struct LossSettings {
  float objectness_weight = 1, no_object_weight = 1, box_weight = 5, class_weight = 1;
  BoxLoss box_loss = BoxLoss::diou;
};

}  // namespace gridspot

#pragma once
// A candidate for detection and how it follows from predictions, for kernels.
#include "kernels/grid_math.h"

namespace gridspot {

/// Score 0 and class -1: no candidate.
struct Candidate {
  Box box;
  float score = 0;
  std::int32_t label = -1;
};

struct LikeliestClass {
  int index;
  float probability;
};

/// A NaN among the outputs makes the probability NaN.
__host__ __device__ inline LikeliestClass likeliest_class(const float* outputs, int classes, ClassLoss loss) {
  int best = 0;
  for (int i = 1; i < classes; ++i)
    if (outputs[i] > outputs[best] || (is_nan(outputs[i]) && !is_nan(outputs[best]))) best = i;
  if (loss == ClassLoss::bce || loss == ClassLoss::multi_label) return {best, sigmoid(outputs[best])};
  float sum = 0;
  for (int i = 0; i < classes; ++i) sum += expf(outputs[i] - outputs[best]);
  return {best, 1.0f / sum};
}

__host__ __device__ __forceinline__ bool is_finite(const Box& box) {
  return is_finite(box.cx) && is_finite(box.cy) && is_finite(box.w) && is_finite(box.h);
}

/// `outputs` are those of the predictor's cell.
__host__ __device__ inline Candidate decode_candidate(const GridHead& head, const float* outputs, int cell,
                                                      int predictor, float threshold) {
  const float* own = outputs + predictor * 5;
  const float objectness = sigmoid(own[0]);
  if (!(objectness >= threshold)) return {};  // the score is at most the objectness
  const LikeliestClass likeliest = likeliest_class(outputs + head.predictors * 5, head.classes, head.class_loss);
  const float score = objectness * likeliest.probability;
  if (!(score >= threshold && score > 0)) return {};
  const Box box = decode_box(head, own + 1, cell / head.cells, cell % head.cells).box;
  return is_finite(box) ? Candidate{box, score, likeliest.index} : Candidate{};
}

/// The candidates of the slots of predictions [n, S, S, channels].
struct PredictedCandidates {
  GridHead head;
  float threshold;
  const float* predictions;

  __device__ Candidate at(std::size_t image, int slot) const {
    const int cell = slot / head.predictors, cells = head.cells * head.cells;
    const float* outputs = predictions + (image * cells + cell) * head.channels();
    return decode_candidate(head, outputs, cell, slot % head.predictors, threshold);
  }
};

}  // namespace gridspot

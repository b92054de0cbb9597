#pragma once
// Decoding of one predictor from its definition in kernels/decode.h, in double precision.
#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/reference/grid.h"

namespace gridspot::reference {

struct Candidate {
  BoxD box;
  double score = 0;
  int label = -1;
};

/// `outputs` are the channels of its cell.
inline Candidate decode_candidate(const GridHead& head, const std::vector<double>& outputs, int row, int column,
                                  int predictor, double threshold) {
  const std::vector<double> classes(outputs.begin() + head.predictors * 5, outputs.end());
  std::vector<double> probabilities;
  double sum = 0;
  for (const double output : classes) sum += std::exp(output);
  const bool are_independent = head.class_loss == ClassLoss::bce || head.class_loss == ClassLoss::multi_label;
  for (const double output : classes)
    probabilities.push_back(are_independent ? sigmoid(output) : std::exp(output) / sum);
  const auto likeliest = std::max_element(classes.begin(), classes.end()) - classes.begin();
  Candidate candidate{decode_box(head, &outputs[predictor * 5 + 1], row, column),
                      sigmoid(outputs[predictor * 5]) * probabilities[likeliest], static_cast<int>(likeliest)};
  if (candidate.score < threshold) candidate.score = 0;
  if (candidate.score == 0) candidate = {};
  return candidate;
}

}  // namespace gridspot::reference

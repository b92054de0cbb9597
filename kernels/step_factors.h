#pragma once

namespace gridspot {

/// What the update of every parameter in a step shares.
struct StepFactors {
  float finite;  ///< 0: loss or norm is not finite, leave everything as it is
  float learning_rate;
  float clip;        ///< the gradient is multiplied by it
  float step_size;   ///< Adam: learning_rate / (1 - beta1^n), n the updates so far, this one included
  float root_scale;  ///< Adam: 1 / sqrt(1 - beta2^n)
  float average_decay;
};

}  // namespace gridspot

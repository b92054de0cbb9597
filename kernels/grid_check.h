#pragma once
// Checks of what the launchers of targets, loss, decoding and NMS are given. Host only.
#include <cmath>
#include <string>

#include "device/buffer.h"
#include "kernels/check.h"
#include "kernels/grid.h"

namespace gridspot {

/// Throws InvalidInput unless value >= least.
inline void require_at_least(const char* caller, const char* name, int value, int least) {
  require_that(value >= least, caller, ": ", name, " must be at least ", least, ", it is ", value);
}

/// Throws InvalidInput unless value lies in [0, 1].
inline void require_share(const char* caller, const char* name, float value) {
  if (!(value >= 0 && value <= 1))
    throw InvalidInput(std::string(caller) + ": the " + name + " must lie in [0, 1], it is " + std::to_string(value));
}

inline void require_head(const char* caller, const GridHead& head) {
  require_at_least(caller, "cells", head.cells, 1);
  require_at_least(caller, "predictors", head.predictors, 0);
  require_at_least(caller, "classes", head.classes, 1);
  const auto is_size = [](float prior) { return std::isfinite(prior) && prior > 0; };
  if (!is_size(head.prior_width) || !is_size(head.prior_height))
    throw InvalidInput(std::string(caller) + ": the priors must be positive and finite, they are " +
                       std::to_string(head.prior_width) + " and " + std::to_string(head.prior_height));
}

/// Of what is to be decoded.
inline void require_predictions(const char* caller, const GridHead& head, int n, float score_threshold,
                                DeviceSpan<const float> predictions) {
  require_head(caller, head);
  require_at_least(caller, "predictors", head.predictors, 1);
  require_at_least(caller, "n", n, 0);
  require_share(caller, "score threshold", score_threshold);
  require_elements(caller, "predictions", predictions.size, std::size_t(n) * head.cells * head.cells * head.channels());
}

}  // namespace gridspot

#pragma once
// Checks of what the launchers of targets, loss, decoding and NMS are given. Host only.
#include <cmath>
#include <cstddef>
#include <string>

#include "gridspot/error.h"
#include "kernels/grid.h"

namespace gridspot {

/// Throws InvalidInput unless the array `name` has the elements that `caller` expects.
inline void require_elements(const char* caller, const char* name, std::size_t found, std::size_t expected) {
  if (found != expected)
    throw InvalidInput(std::string(caller) + ": " + name + " must have " + std::to_string(expected) +
                       " elements, it has " + std::to_string(found));
}

/// Throws InvalidInput unless value >= least.
inline void require_at_least(const char* caller, const char* name, int value, int least) {
  if (value < least)
    throw InvalidInput(std::string(caller) + ": " + name + " must be at least " + std::to_string(least) + ", it is " +
                       std::to_string(value));
}

inline void require_head(const char* caller, const GridHead& head) {
  require_at_least(caller, "cells", head.cells, 1);
  require_at_least(caller, "predictors", head.predictors, 1);
  require_at_least(caller, "classes", head.classes, 1);
  const auto is_size = [](float prior) { return std::isfinite(prior) && prior > 0; };
  if (!is_size(head.prior_width) || !is_size(head.prior_height))
    throw InvalidInput(std::string(caller) + ": the priors must be positive and finite, they are " +
                       std::to_string(head.prior_width) + " and " + std::to_string(head.prior_height));
}

}  // namespace gridspot

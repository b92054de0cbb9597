#pragma once
// Greedy non-maximum suppression of one image from its definition in kernels/nms.h.
#include <algorithm>
#include <vector>

#include "tests/reference/grid.h"

namespace gridspot::reference {

/// The slots that survive, in the order of falling score.
inline std::vector<int> suppress(const std::vector<Box>& boxes, const std::vector<float>& scores,
                                 const std::vector<int>& classes, double threshold, bool class_agnostic) {
  std::vector<int> candidates;
  for (int slot = 0; slot < static_cast<int>(scores.size()); ++slot)
    if (scores[slot] > 0) candidates.push_back(slot);
  std::stable_sort(candidates.begin(), candidates.end(), [&](int a, int b) { return scores[a] > scores[b]; });
  std::vector<int> kept;
  for (const int slot : candidates)
    if (std::none_of(kept.begin(), kept.end(), [&](int other) {
          return (class_agnostic || classes[slot] == classes[other]) &&
                 iou(widen(boxes[slot]), widen(boxes[other])) > threshold;
        }))
      kept.push_back(slot);
  return kept;
}

}  // namespace gridspot::reference

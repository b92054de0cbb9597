#pragma once
// Target encoding of one canvas from the rule in kernels/targets.h: cell by cell.
#include <algorithm>
#include <cmath>
#include <vector>

#include "gridspot/box.h"

namespace gridspot::reference {

struct Targets {
  std::vector<int> cell_object;
  int collisions = 0;
};

/// Of a centre along one axis.
inline int nearest_cell(double center, int cells) {
  return std::clamp(static_cast<int>(std::floor(center * cells)), 0, cells - 1);
}

inline Targets encode_targets(const std::vector<Box>& boxes, const std::vector<int>& labels, int cells) {
  Targets targets;
  for (int row = 0; row < cells; ++row)
    for (int column = 0; column < cells; ++column) {
      std::vector<int> objects;
      for (int i = 0; i < static_cast<int>(boxes.size()); ++i)
        if (labels[i] >= 0 && nearest_cell(boxes[i].cy, cells) == row && nearest_cell(boxes[i].cx, cells) == column)
          objects.push_back(i);
      std::stable_sort(objects.begin(), objects.end(),
                       [&](int a, int b) { return double(boxes[a].w) * boxes[a].h > double(boxes[b].w) * boxes[b].h; });
      targets.cell_object.push_back(objects.empty() ? -1 : objects.front());
      targets.collisions += objects.empty() ? 0 : static_cast<int>(objects.size()) - 1;
    }
  return targets;
}

}  // namespace gridspot::reference

#pragma once
#include "gridspot/box.h"

namespace gridspot {

struct LabelledBox {
  int label = 0;
  Box box;
};

}  // namespace gridspot

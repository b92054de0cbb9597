#pragma once
#include <cstdint>

namespace gridspot {

struct CellClassCounts {
  std::int32_t cells = 0;  ///< that hold an object
  std::int32_t right = 0;  ///< of those, where the highest class output (of equal ones the first) is the object's class
};

}  // namespace gridspot

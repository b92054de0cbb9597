#pragma once
// Launch shapes, for both compilers.
#include <cstddef>

namespace gridspot {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr unsigned long long count() const { return 1ull * x * y * z; }
};

struct LaunchShape {
  Dim3 grid;
  Dim3 block;
  std::size_t shared_bytes = 0;  ///< dynamic shared memory of a block
};

}  // namespace gridspot

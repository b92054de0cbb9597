#pragma once
// Launch shapes, for both compilers.
#include <cstddef>

namespace gridspot {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr unsigned long long count() const { return 1ull * x * y * z; }
};

struct LaunchShape {
  Dim3 grid{};
  Dim3 block{};
  std::size_t shared_bytes = 0;  ///< dynamic shared memory of a block
};

// What every GPU of compute capability 8.0 to 12.0 takes. The CPU has no such limits and keeps to them all the same.
inline constexpr Dim3 max_grid{0x7fffffff, 0xffff, 0xffff};
inline constexpr Dim3 max_block{1024, 1024, 64};
inline constexpr std::size_t max_shared_bytes = 99 * 1024;

constexpr bool fits(const Dim3& shape, const Dim3& limit) {
  return shape.x <= limit.x && shape.y <= limit.y && shape.z <= limit.z;
}

/// Null where the launch keeps the rules.
constexpr const char* broken_launch_rule(const LaunchShape& shape, unsigned max_block_threads) {
  if (!fits(shape.grid, max_grid)) return "a grid has at most 2147483647 x 65535 x 65535 blocks";
  if (!fits(shape.block, max_block)) return "a block has at most 1024 x 1024 x 64 threads";
  if (shape.block.count() > max_block_threads) return "a block has at most the kernel's max_block_threads";
  if (shape.shared_bytes > max_shared_bytes) return "a block has at most 101376 bytes of shared memory";
  return nullptr;
}

}  // namespace gridspot

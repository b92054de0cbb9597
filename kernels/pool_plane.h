#pragma once
// What the pooling kernels share: a block takes one row of pixels, a thread packs of eight channels of it.
#include "device/kernel.h"
#include "kernels/pack.h"
#if GRIDSPOT_HOST_PASS
#include <algorithm>

#include "kernels/check.h"
#endif

namespace gridspot {

/// A tensor [n, height, width, channels], and where its packs are.
struct PoolPlane {
  int n, height, width, channels;

  __host__ __device__ int rows() const { return n * height; }
  __host__ __device__ int packs_in_row() const { return width * packs_for(channels); }
  __host__ __device__ std::size_t offset(int image, int y, int x, int channel) const {
    return ((std::size_t(image) * height + y) * width + x) * channels + channel;
  }
};

/// Calls visit(image, y, x, first channel, channels in the pack) for the packs of the thread's row of `plane`.
template <class Visit>
__device__ __forceinline__ void for_each_pack(const PoolPlane& plane, const Visit& visit) {
  const int image = static_cast<int>(blockIdx.x) / plane.height, y = static_cast<int>(blockIdx.x) % plane.height;
  const int packs = packs_for(plane.channels), packs_in_row = plane.packs_in_row();
  for (int i = static_cast<int>(threadIdx.x); i < packs_in_row; i += static_cast<int>(blockDim.x)) {
    const int x = i / packs, channel = i % packs * pack_width;
    visit(image, y, x, channel, pack_length(plane.channels, channel));
  }
}

#if GRIDSPOT_HOST_PASS

inline std::size_t elements(const PoolPlane& plane) {
  return std::size_t(plane.n) * plane.height * plane.width * plane.channels;
}

inline void require_plane(const char* who, const char* name, const PoolPlane& plane) {
  require_that(plane.n >= 0, who, ": ", name, " has a batch of ", plane.n, ", expected at least 0");
  require_that(plane.height >= 1, who, ": ", name, " has height ", plane.height, ", expected at least 1");
  require_that(plane.width >= 1, who, ": ", name, " has width ", plane.width, ", expected at least 1");
  require_that(plane.channels >= 1, who, ": ", name, " has ", plane.channels, " channels, expected at least 1");
  require_that(std::size_t(plane.n) * plane.height <= 0x7fffffff, who, ": ", name, " has ", plane.n, " x ",
               plane.height, " rows, more than a grid can hold");
  require_that(std::size_t(plane.width) * plane.channels <= 0x7fffffff, who, ": ", name, " has rows of ", plane.width,
               " x ", plane.channels, " elements, more than a block can count");
}

/// One block for each row of `plane`, with a thread for each pack of it as far as a block goes.
template <class Kernel>
void launch_rows(Stream& stream, const PoolPlane& plane, const Kernel& kernel) {
  const unsigned warps = (static_cast<unsigned>(plane.packs_in_row()) + 31) / 32;
  launch(stream,
         {.grid = {static_cast<unsigned>(plane.rows())},
          .block = {std::min(warps * 32, unsigned(Kernel::max_block_threads))}},
         kernel);
}
#endif

}  // namespace gridspot

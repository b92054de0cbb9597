// Adds the partial sums that the blocks of a reduction have left, for the gradients of biases and of the stem's
// weights. Floor: each partial sum is read once (4 bytes, 1 addition), each sum written once.
#include "device/kernel.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/check.h"
#include "kernels/chunk_sums.h"
#endif

namespace gridspot {

// A warp of columns a block. Warp w sums the chunks w, w + warps, ..., then the first warp adds the warps.
struct SumChunks {
  static constexpr int max_block_threads = 256;
  static constexpr int warps = max_block_threads / 32;
  unsigned columns, chunks, split;
  const float* partials;
  float *sums, *more;  ///< of the columns before `split` and from it on

  __device__ void operator()() const {
    auto* of_warps = shared_memory<float>(max_block_threads);
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
    const bool inside = column < columns;
    float sum = 0;
    if (inside)
      for (unsigned chunk = warp; chunk < chunks; chunk += warps)
        sum += partials[std::size_t(chunk) * columns + column];
    of_warps[threadIdx.x] = sum;
    __syncthreads();
    if (warp != 0 || !inside) return;
    float total = 0;
    for (int i = 0; i < warps; ++i) total += of_warps[i * 32 + lane];
    (column < split ? sums[column] : more[column - split]) = total;
  }
};

GRIDSPOT_KERNEL(SumChunks)

#if GRIDSPOT_HOST_PASS
void sum_chunks(Stream& stream, unsigned chunks, DeviceSpan<const float> partials, DeviceSpan<float> sums,
                DeviceSpan<float> more) {
  const std::size_t columns = sums.size + more.size;
  require_elements("sum_chunks", "partials", partials.size, chunks * columns);
  launch(stream,
         {.grid = {blocks_for(columns, 32)},
          .block = {SumChunks::max_block_threads},
          .shared_bytes = SumChunks::max_block_threads * sizeof(float)},
         SumChunks{static_cast<unsigned>(columns), chunks, static_cast<unsigned>(sums.size), partials.data, sums.data,
                   more.data});
}
#endif

}  // namespace gridspot

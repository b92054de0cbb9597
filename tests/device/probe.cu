// Small kernels that show what a device does, for probe_test.cpp.
#include "device/kernel.h"
#if GRIDSPOT_HOST_PASS
#include "tests/device/probe.h"
#endif

namespace gridspot::probe {

struct CountVisits {
  static constexpr int max_block_threads = 1024;
  int* visits;

  __device__ void operator()() const {
    const std::size_t block = (std::size_t(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const std::size_t thread = (std::size_t(threadIdx.z) * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    ++visits[block * blockDim.x * blockDim.y * blockDim.z + thread];
  }
};

struct CountVisitsInARow {
  static constexpr int max_block_threads = 96;
  int* visits;
  std::size_t count;

  __device__ void operator()() const {
    if (global_thread() < count) ++visits[global_thread()];
  }
};

struct ShuffleLanes {
  static constexpr int max_block_threads = 32;
  int operand, width;
  int* results;

  __device__ void operator()() const {
    constexpr unsigned full = 0xffffffffu;
    const int lane = static_cast<int>(threadIdx.x);
    results[lane] = __shfl_sync(full, lane, operand, width);
    results[32 + lane] = __shfl_up_sync(full, lane, static_cast<unsigned>(operand), width);
    results[64 + lane] = __shfl_down_sync(full, lane, static_cast<unsigned>(operand), width);
    results[96 + lane] = __shfl_xor_sync(full, lane, operand, width);
  }
};

struct Vote {
  static constexpr int max_block_threads = 32;
  unsigned mask, predicates;
  unsigned* results;

  __device__ void operator()() const {
    if ((mask >> threadIdx.x & 1u) == 0) return;
    const int predicate = static_cast<int>(predicates >> threadIdx.x & 1u);
    results[threadIdx.x * 3] = __ballot_sync(mask, predicate);
    results[threadIdx.x * 3 + 1] = static_cast<unsigned>(__any_sync(mask, predicate));
    results[threadIdx.x * 3 + 2] = static_cast<unsigned>(__all_sync(mask, predicate));
  }
};

struct SumBlocks {
  static constexpr int max_block_threads = 1024;
  int *sums, *counts;

  __device__ void operator()() const {
    int* shared = shared_memory<int>(blockDim.x);
    shared[threadIdx.x] = static_cast<int>(threadIdx.x);
    const int count = __syncthreads_count(threadIdx.x % 3 == 0);
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
      if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
      __syncthreads();
    }
    if (threadIdx.x != 0) return;
    sums[blockIdx.x] = shared[0];
    counts[blockIdx.x] = count;
  }
};

}  // namespace gridspot::probe

GRIDSPOT_KERNEL(gridspot::probe::CountVisits)
GRIDSPOT_KERNEL(gridspot::probe::CountVisitsInARow)
GRIDSPOT_KERNEL(gridspot::probe::ShuffleLanes)
GRIDSPOT_KERNEL(gridspot::probe::Vote)
GRIDSPOT_KERNEL(gridspot::probe::SumBlocks)

#if GRIDSPOT_HOST_PASS
namespace gridspot::probe {

void count_visits(Stream& stream, const LaunchShape& shape, DeviceSpan<int> visits) {
  launch(stream, shape, CountVisits{visits.data});
}

void count_visits(Stream& stream, DeviceSpan<int> visits) {
  launch_1d(stream, visits.size, CountVisitsInARow{visits.data, visits.size});
}

void shuffle_lanes(Stream& stream, int operand, int width, DeviceSpan<int> results) {
  launch(stream, {.block = {32}}, ShuffleLanes{operand, width, results.data});
}

void vote(Stream& stream, unsigned mask, unsigned predicates, DeviceSpan<unsigned> results) {
  launch(stream, {.block = {32}}, Vote{mask, predicates, results.data});
}

void sum_blocks(Stream& stream, unsigned threads, DeviceSpan<int> sums, DeviceSpan<int> counts) {
  launch(stream, {.grid = {unsigned(sums.size)}, .block = {threads}, .shared_bytes = threads * sizeof(int)},
         SumBlocks{sums.data, counts.data});
}

}  // namespace gridspot::probe
#endif

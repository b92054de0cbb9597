#pragma once
// Kernels with one mistake each. Those of the first part break a rule that the runtime reports, those of the second
// compute something that depends on the thread order, those of the third leave their buffer.
#include "device/kernel.h"

namespace gridspot::broken {

// ---- Reported by the runtime --------------------------------------------------------------------------------------

struct DivergentBarrier {
  __device__ void operator()() const {
    if (threadIdx.x < 3)
      __syncthreads();
    else
      __syncthreads();
  }
};

struct BarrierInOneBranch {
  __device__ void operator()() const {
    if (threadIdx.x % 2 == 0) __syncthreads();
    __syncthreads();
  }
};

// Thread 2 leaves a loop of barriers one turn early and goes on to the next barrier.
struct OneTurnTooFew {
  __device__ void operator()() const {
    const int turns = threadIdx.x == 2 ? 3 : 4;
    for (int i = 0; i < turns; ++i) __syncthreads();
    __syncthreads();
  }
};

struct BarrierWhileTheWarpShuffles {
  __device__ void operator()() const {
    if (threadIdx.x == 7)
      __syncthreads();
    else
      __shfl_sync(0xffffffffu, 1, 0);
  }
};

struct MaskWithoutTheCaller {
  __device__ void operator()() const { __ballot_sync(0x0000ffffu, 1); }
};

struct ShuffleFromOutsideTheMask {
  __device__ void operator()() const {
    if (threadIdx.x < 16) __shfl_sync(0x0000ffffu, 1, 20);
  }
};

struct WarpIntrinsicAfterALaneExited {
  __device__ void operator()() const {
    if (threadIdx.x == 37) return;
    __shfl_xor_sync(0xffffffffu, 1, 1);
  }
};

struct FullMaskInAPartialWarp {
  __device__ void operator()() const { __syncwarp(); }
};

struct DifferentIntrinsicsInOneWarp {
  __device__ void operator()() const {
    if (threadIdx.x % 2 == 0)
      __shfl_down_sync(0xffffffffu, 1, 1);
    else
      __shfl_up_sync(0xffffffffu, 1, 1);
  }
};

struct DifferentMasksInOneWarp {
  __device__ void operator()() const { __any_sync(threadIdx.x < 16 ? 0xffffffffu : 0xffff0000u, 1); }
};

struct MoreSharedMemoryThanLaunched {
  __device__ void operator()() const { shared_memory<float>(33)[threadIdx.x] = 1; }
};

struct WritePastTheEndOfSharedMemory {
  int count;
  __device__ void operator()() const { shared_memory<float>(count)[threadIdx.x + 1] = 1; }
};

struct WriteBeforeTheStartOfSharedMemory {
  int count;
  __device__ void operator()() const { (shared_memory<float>(count) + threadIdx.x)[-1] = 1; }
};

// ---- The result depends on the thread order -----------------------------------------------------------------------

struct MissingBarrier {
  int* output;
  __device__ void operator()() const {
    int* shared = shared_memory<int>(blockDim.x);
    shared[threadIdx.x] = static_cast<int>(threadIdx.x);
    output[global_thread()] = shared[(threadIdx.x + 1) % blockDim.x];
  }
};

// The first barrier is there; the one that keeps the next turn's writes from this turn's reads is not.
struct MissingSecondBarrier {
  int* output;
  __device__ void operator()() const {
    int* shared = shared_memory<int>(blockDim.x);
    int sum = 0;
    for (int turn = 0; turn < 3; ++turn) {
      shared[threadIdx.x] = static_cast<int>(threadIdx.x) * turn;
      __syncthreads();
      sum += shared[(threadIdx.x + 5) % blockDim.x];
    }
    output[global_thread()] = sum;
  }
};

struct UninitialisedSharedMemory {
  int* output;
  __device__ void operator()() const {
    int* shared = shared_memory<int>(blockDim.x);
    if (threadIdx.x != 3) shared[threadIdx.x] = 1;
    __syncthreads();
    output[global_thread()] = shared[3];
  }
};

struct ReadsWhatAnotherBlockWrites {
  int* output;
  __device__ void operator()() const {
    const std::size_t i = global_thread();
    output[i] = blockIdx.x == 0 ? 1 : output[i - blockDim.x] + 1;
  }
};

struct LastWriterWins {
  int* output;
  __device__ void operator()() const { output[0] = static_cast<int>(threadIdx.x); }
};

struct SlotsInTheOrderOfArrival {
  int *counter, *output;
  __device__ void operator()() const { output[atomicAdd(counter, 1)] = static_cast<int>(threadIdx.x); }
};

struct MissingWarpBarrier {
  int* output;
  __device__ void operator()() const {
    int* shared = shared_memory<int>(32);
    for (int delta = 16; delta > 0; delta /= 2) {
      shared[threadIdx.x] = delta + static_cast<int>(threadIdx.x);
      output[threadIdx.x] += shared[threadIdx.x ^ static_cast<unsigned>(delta)];
      __syncwarp();
    }
  }
};

// ---- Writes outside its buffer ------------------------------------------------------------------------------------

struct OnePastTheEnd {
  float* values;
  std::size_t count;
  __device__ void operator()() const {
    const std::size_t i = global_thread();
    if (i <= count) values[i] = 1;
  }
};

struct OneBeforeTheStart {
  float* values;
  __device__ void operator()() const { (values + global_thread())[-1] = 1; }
};

}  // namespace gridspot::broken

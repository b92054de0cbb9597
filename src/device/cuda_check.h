#pragma once
// The one way to check a CUDA runtime call. Only files of the CUDA build include this.
#include <cuda_runtime_api.h>

#include <source_location>

namespace gridspot::cuda {

/// Throws DeviceError (OutOfMemory for cudaErrorMemoryAllocation) with CUDA's own text, `what` and the place.
void check(cudaError_t status, const char* what, std::source_location where = std::source_location::current());

}  // namespace gridspot::cuda

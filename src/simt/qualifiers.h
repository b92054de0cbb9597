#pragma once
// The words of CUDA that appear in kernels/, for whichever compiler reads the file.
#if defined(__CUDACC__)
#define GRIDSPOT_HOST_PASS 0
#else
#define GRIDSPOT_HOST_PASS 1
#define __host__
#define __device__
#define __forceinline__ inline
#endif

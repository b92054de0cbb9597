#pragma once
// How a kernel is written and launched. Every file in kernels/*.cu includes this first.
//
// A kernel is a struct: its members are the arguments, its call operator is what one thread does, and
// `max_block_threads` bounds the block. nvcc compiles the struct for the GPU, the host compiler compiles the same text
// against the host runtime (src/simt/). Launchers stand at the end of the file under `#if GRIDSPOT_HOST_PASS`: they are
// compiled once, by the host compiler, and `launch` chooses the device at run time.
//
//   struct Scale {
//     static constexpr int max_block_threads = 256;
//     float* values; float factor; std::size_t count;
//     __device__ void operator()() const {
//       const auto i = global_thread();
//       if (i < count) values[i] *= factor;
//     }
//   };
//   GRIDSPOT_KERNEL(Scale)
//
//   #if GRIDSPOT_HOST_PASS
//   void scale(Stream& stream, DeviceSpan<float> values, float factor) {
//     launch_1d(stream, values.size, Scale{values.data, factor, values.size});
//   }
//   #endif
#include <cstddef>
#include <cstdint>

#include "simt/dim3.h"
#include "simt/qualifiers.h"

#if GRIDSPOT_HOST_PASS
#include <string>
#include <string_view>

#include "device/buffer.h"
#include "device/cuda.h"
#include "device/stream.h"
#include "gridspot/error.h"
#include "simt/intrinsics.h"
#else
#include <cuda_runtime.h>
#endif

namespace gridspot {

/// The index of the calling thread in a one-dimensional launch.
__device__ __forceinline__ std::size_t global_thread() {
  return static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

/// The block's dynamic shared memory, `count` elements from `offset_bytes` on. Contents undefined.
template <class T>
__device__ __forceinline__ T* shared_memory(std::size_t count = 1, std::size_t offset_bytes = 0) {
#if GRIDSPOT_HOST_PASS
  return reinterpret_cast<T*>(simt::current_runtime->shared_memory(offset_bytes + count * sizeof(T)) + offset_bytes);
#else
  extern __shared__ __align__(16) unsigned char block_memory[];
  (void)count;
  return reinterpret_cast<T*>(block_memory + offset_bytes);
#endif
}

}  // namespace gridspot

#if GRIDSPOT_HOST_PASS

#define GRIDSPOT_KERNEL(...)

namespace gridspot {

namespace cuda {
/// Defined where nvcc compiles the kernel (GRIDSPOT_KERNEL).
template <class Kernel>
void launch_kernel(void* stream, const LaunchShape& shape, const Kernel& kernel);
}  // namespace cuda

/// "EncodeTargets", "Convert<float, bfloat16>" and the like, for messages.
template <class Kernel>
std::string kernel_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("Kernel = ") + 9);
  return std::string(text.substr(0, text.find_first_of(";]")));
}

/// "grid (2,1,1), block (256,1,1), 0 bytes of shared memory".
inline std::string to_string(const LaunchShape& shape) {
  const auto text = [](const std::string& what, const Dim3& d) {
    return what + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z);
  };
  return text("grid (", shape.grid) + text("), block (", shape.block) + "), " + std::to_string(shape.shared_bytes) +
         " bytes of shared memory";
}

/// The one way to start a kernel: enqueues it on the stream and checks the launch. An empty grid or block does nothing.
/// Throws InvalidInput for a shape that not every device takes (see simt/dim3.h), DeviceError when the launch fails.
template <class Kernel>
void launch(Stream& stream, const LaunchShape& shape, const Kernel& kernel) {
  static_assert(Kernel::max_block_threads % 32 == 0 && Kernel::max_block_threads <= 1024);
  if (shape.grid.count() == 0 || shape.block.count() == 0) return;
  if (const char* broken = broken_launch_rule(shape, Kernel::max_block_threads))
    throw InvalidInput("kernel " + kernel_name<Kernel>() + ": " + broken + "; it was launched with " +
                       to_string(shape));
#if GRIDSPOT_WITH_CUDA
  if (stream.is_cuda()) {
    cuda::make_current(stream.device().index);
    return cuda::launch_kernel(stream.native(), shape, kernel);
  }
#endif
  stream.submit([shape, kernel](Stream& on) { on.runtime().run(shape, kernel, &kernel_name<Kernel>); });
}

/// How many blocks of `per_block` cover `count`.
inline unsigned blocks_for(std::size_t count, std::size_t per_block) {
  const std::size_t blocks = count / per_block + (count % per_block == 0 ? 0 : 1);
  if (blocks > max_grid.x)
    throw InvalidInput("a launch over " + std::to_string(count) + " elements is more than a grid can hold");
  return static_cast<unsigned>(blocks);
}

/// One thread for each of `count` elements.
template <class Kernel>
void launch_1d(Stream& stream, std::size_t count, const Kernel& kernel) {
  constexpr unsigned threads = Kernel::max_block_threads;
  launch(stream, {.grid = {blocks_for(count, threads)}, .block = {threads}}, kernel);
}

}  // namespace gridspot

#else

namespace gridspot::cuda {

void check_launch(int status, const char* kernel);

template <class Kernel>
__global__ void __launch_bounds__(Kernel::max_block_threads) kernel_entry(const __grid_constant__ Kernel kernel) {
  kernel();
}

template <class Kernel>
void launch_kernel(void* stream, const LaunchShape& shape, const Kernel& kernel) {
  constexpr std::size_t shared_without_opt_in = 48 * 1024;
  const auto entry = &kernel_entry<Kernel>;
  if (shape.shared_bytes > shared_without_opt_in)
    check_launch(
        cudaFuncSetAttribute(entry, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes)),
        __PRETTY_FUNCTION__);
  const dim3 grid(shape.grid.x, shape.grid.y, shape.grid.z), block(shape.block.x, shape.block.y, shape.block.z);
  // clang-format off
  entry<<<grid, block, shape.shared_bytes, static_cast<cudaStream_t>(stream)>>>(kernel);
  // clang-format on
  check_launch(cudaGetLastError(), __PRETTY_FUNCTION__);
}

}  // namespace gridspot::cuda

/// Compiles the kernel for the GPU. Once for each kernel (each instance of a kernel template), outside any function.
#define GRIDSPOT_KERNEL(...) \
  template void gridspot::cuda::launch_kernel<__VA_ARGS__>(void*, const gridspot::LaunchShape&, const __VA_ARGS__&);

#endif

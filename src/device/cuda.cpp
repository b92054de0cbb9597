#include "device/cuda.h"

#include "device/cuda_check.h"
#include "gridspot/error.h"

namespace gridspot::cuda {

namespace {
cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }
}  // namespace

void check(cudaError_t status, const char* what, std::source_location where) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  const std::string text = std::string(what) + " failed: " + cudaGetErrorString(status) + " (" + where.file_name() +
                           ":" + std::to_string(where.line()) + ")";
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(text);
  throw DeviceError(text);
}

// Declared in device/kernel.h for nvcc, which must not see the standard library's exceptions.
void check_launch(int status, const char* kernel) { check(static_cast<cudaError_t>(status), kernel); }

int device_count(std::string* reason) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    if (reason) *reason = std::string("CUDA finds no device: ") + cudaGetErrorString(status);
    return 0;
  }
  if (count == 0 && reason) *reason = "CUDA finds no device";
  return count;
}

std::string device_name(int device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return properties.name;
}

void make_current(int device) { check(cudaSetDevice(device), "cudaSetDevice"); }

void* allocate(int device, std::size_t bytes) {
  make_current(device);
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), "cudaMalloc");
  return memory;
}

void release(int device, void* memory) noexcept {
  cudaSetDevice(device);
  cudaFree(memory);
}

void* create_stream(int device) {
  make_current(device);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return stream;
}

void destroy_stream(int device, void* stream) noexcept {
  cudaSetDevice(device);
  cudaStreamDestroy(as_stream(stream));
}

void synchronize(int device, void* stream) {
  make_current(device);
  check(cudaStreamSynchronize(as_stream(stream)), "cudaStreamSynchronize");
}

void copy(int device, void* stream, void* to, const void* from, std::size_t bytes) {
  make_current(device);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, as_stream(stream)), "cudaMemcpyAsync");
}

void fill(int device, void* stream, void* to, int byte, std::size_t bytes) {
  make_current(device);
  check(cudaMemsetAsync(to, byte, bytes, as_stream(stream)), "cudaMemsetAsync");
}

}  // namespace gridspot::cuda
